// Writes one JSON object, {kind: sdp}: what pion says in SDP, for
// capture_sdp.mjs. Built by lib.mjs with Debian's Go packages, as pion/main.go.
package main

import (
	"encoding/json"
	"fmt"

	"github.com/pion/webrtc"
)

var said = map[string]string{}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// An API with the codecs of `video`, and Opus.
func newAPI(video ...webrtc.RTPCodecParameters) *webrtc.API {
	engine := &webrtc.MediaEngine{}
	must(engine.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"},
		PayloadType: 111}, webrtc.RTPCodecTypeAudio))
	for _, codec := range video {
		must(engine.RegisterCodec(codec, webrtc.RTPCodecTypeVideo))
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine))
}

func codec(name string, number webrtc.PayloadType) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: name, ClockRate: 90000}, PayloadType: number}
}

func newConnection(api *webrtc.API, policy webrtc.BundlePolicy) *webrtc.PeerConnection {
	pc, err := api.NewPeerConnection(webrtc.Configuration{BundlePolicy: policy})
	must(err)
	return pc
}

// A new local description, with all candidates.
func describe(pc *webrtc.PeerConnection, kind webrtc.SDPType, options *webrtc.OfferOptions) string {
	gathered := webrtc.GatheringCompletePromise(pc)
	var d webrtc.SessionDescription
	var err error
	if kind == webrtc.SDPTypeOffer {
		d, err = pc.CreateOffer(options)
	} else {
		d, err = pc.CreateAnswer(nil)
	}
	must(err)
	must(pc.SetLocalDescription(d))
	<-gathered
	return pc.LocalDescription().SDP
}

func exchange(a, b *webrtc.PeerConnection, options *webrtc.OfferOptions) (string, string) {
	offer := describe(a, webrtc.SDPTypeOffer, options)
	must(b.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}))
	answer := describe(b, webrtc.SDPTypeAnswer, nil)
	must(a.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	return offer, answer
}

func add(pc *webrtc.PeerConnection, kinds ...webrtc.RTPCodecType) {
	for _, kind := range kinds {
		_, err := pc.AddTransceiverFromKind(kind)
		must(err)
	}
}

func addData(pc *webrtc.PeerConnection) {
	_, err := pc.CreateDataChannel("x", nil)
	must(err)
}

func main() {
	vp8, h264 := codec(webrtc.MimeTypeVP8, 96), codec(webrtc.MimeTypeH264, 102)
	for _, policy := range []webrtc.BundlePolicy{
		webrtc.BundlePolicyBalanced, webrtc.BundlePolicyMaxCompat, webrtc.BundlePolicyMaxBundle} {
		a, b := newConnection(newAPI(vp8), policy), newConnection(newAPI(vp8), policy)
		add(a, webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo)
		addData(a)
		said["offer-"+policy.String()], said["answer-"+policy.String()] = exchange(a, b, nil)
		if policy == webrtc.BundlePolicyBalanced {
			said["offer-ice-restart"], said["answer-ice-restart"] = exchange(a, b, &webrtc.OfferOptions{ICERestart: true})
			// What pion has instead of stopping: the track goes.
			must(a.RemoveTrack(a.GetTransceivers()[1].Sender()))
			said["offer-removed-video"], said["answer-removed-video"] = exchange(a, b, nil)
		}
	}
	// No codec in common: pion's way to refuse a section.
	a, b := newConnection(newAPI(h264), webrtc.BundlePolicyBalanced), newConnection(newAPI(vp8), webrtc.BundlePolicyBalanced)
	add(a, webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo)
	addData(a)
	said["offer-refused-video"] = describe(a, webrtc.SDPTypeOffer, nil)
	must(b.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: said["offer-refused-video"]}))
	said["answer-refused-video"] = describe(b, webrtc.SDPTypeAnswer, nil)

	engine := &webrtc.MediaEngine{}
	must(engine.RegisterDefaultCodecs())
	for _, uri := range []string{"urn:ietf:params:rtp-hdrext:sdes:mid",
		"urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"} {
		must(engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo))
	}
	c := newConnection(webrtc.NewAPI(webrtc.WithMediaEngine(engine)), webrtc.BundlePolicyMaxBundle)
	addData(c)
	var sender *webrtc.RTPSender
	for _, rid := range []string{"h", "m", "l"} {
		track, err := webrtc.NewTrackLocalStaticRTP(
			webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "video", "pion", webrtc.WithRTPStreamID(rid))
		must(err)
		if sender == nil {
			sender, err = c.AddTrack(track)
		} else {
			err = sender.AddEncoding(track)
		}
		must(err)
	}
	said["offer-simulcast"] = describe(c, webrtc.SDPTypeOffer, nil)
	text, err := json.Marshal(said)
	must(err)
	fmt.Println(string(text))
}
