// pion as a foreign peer, speaking the lines of `kyuu peer` on stdin and
// stdout. Built by lib.mjs with Debian's Go packages:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o DIR/pion .
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/pion/webrtc"
)

var (
	role     = flag.String("role", "offer", "offer or answer")
	echo     = flag.Bool("echo", false, "send back what comes")
	send     = flag.Int("send", 0, "messages to send")
	size     = flag.Int("size", 64, "bytes of a message")
	text     = flag.Bool("text", false, "text instead of binary")
	expect   = flag.Int("expect", 0, "messages to receive")
	label    = flag.String("label", "data", "of the channel")
	script   = flag.Bool("scripted", false, "do with channels what stdin says: script.go")
	lock     sync.Mutex
	sent     int
	received int
	bytes    int
	opened   int
	good     = true
	first    time.Time // When the first message came, and the newest.
	last     time.Time
	done     = make(chan struct{})
	once     sync.Once
)

func write(line interface{}) {
	encoded, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(encoded))
}

func message(i int) []byte {
	m := make([]byte, *size)
	for j := range m {
		if *text {
			m[j] = byte('a' + (i+j)%26)
		} else {
			m[j] = byte(i + j)
		}
	}
	return m
}

func check() {
	if !*echo && sent == *send && received >= *expect {
		once.Do(func() { close(done) })
	}
}

func use(channel *webrtc.DataChannel) {
	channel.OnOpen(func() {
		lock.Lock()
		opened++
		lock.Unlock()
		write(map[string]interface{}{"event": "channel", "id": channel.ID(), "label": channel.Label()})
		for i := 0; i < *send; i++ {
			var err error
			if *text {
				err = channel.SendText(string(message(i)))
			} else {
				err = channel.Send(message(i))
			}
			if err != nil {
				panic(err)
			}
			lock.Lock()
			sent++
			lock.Unlock()
		}
		lock.Lock()
		defer lock.Unlock()
		check()
	})
	channel.OnMessage(func(m webrtc.DataChannelMessage) {
		if *echo {
			var err error
			if m.IsString {
				err = channel.SendText(string(m.Data))
			} else {
				err = channel.Send(m.Data)
			}
			if err != nil {
				panic(err)
			}
		}
		lock.Lock()
		defer lock.Unlock()
		if !*echo && (string(m.Data) != string(message(received)) || m.IsString != *text) {
			good = false
			write(map[string]interface{}{"event": "damaged", "index": received, "size": len(m.Data)})
		}
		last = time.Now()
		if received == 0 {
			first = last
		}
		received++
		bytes += len(m.Data)
		check()
	})
	channel.OnClose(func() { once.Do(func() { close(done) }) })
}

type line struct {
	Type          string  `json:"type"`
	SDP           string  `json:"sdp"`
	Candidate     *string `json:"candidate"`
	SDPMid        string  `json:"sdpMid"`
	SDPMLineIndex uint16  `json:"sdpMLineIndex"`
}

func describe(pc *webrtc.PeerConnection, kind string, options *webrtc.OfferOptions) {
	var d webrtc.SessionDescription
	var err error
	if kind == "offer" {
		d, err = pc.CreateOffer(options)
	} else {
		d, err = pc.CreateAnswer(nil)
	}
	if err == nil {
		err = pc.SetLocalDescription(d)
	}
	if err != nil {
		panic(err)
	}
	write(map[string]string{"type": kind, "sdp": d.SDP})
}

func read(pc *webrtc.PeerConnection) {
	var early []webrtc.ICECandidateInit
	described := false
	scanner := bufio.NewScanner(os.Stdin)
	scanner.Buffer(make([]byte, 1<<20), 1<<20)
	for scanner.Scan() {
		var l line
		if json.Unmarshal(scanner.Bytes(), &l) != nil {
			continue
		}
		var c command
		if json.Unmarshal(scanner.Bytes(), &c) == nil && c.Type == "bye" {
			once.Do(func() { close(done) })
		} else if c.Type == "open" || c.Type == "send" || c.Type == "close" {
			follow(pc, c)
			continue
		}
		if l.Type == "restart" {
			describe(pc, "offer", &webrtc.OfferOptions{ICERestart: true})
		} else if l.Type == "offer" || l.Type == "answer" {
			kind := webrtc.SDPTypeOffer
			if l.Type == "answer" {
				kind = webrtc.SDPTypeAnswer
			}
			if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: l.SDP}); err != nil {
				panic(err)
			}
			described = true
			if l.Type == "offer" {
				describe(pc, "answer", nil)
			}
		} else if l.Candidate != nil && *l.Candidate != "" {
			early = append(early, webrtc.ICECandidateInit{
				Candidate: *l.Candidate, SDPMid: &l.SDPMid, SDPMLineIndex: &l.SDPMLineIndex})
		}
		for described && len(early) > 0 {
			if err := pc.AddICECandidate(early[0]); err != nil {
				panic(err)
			}
			early = early[1:]
		}
	}
}

func main() {
	flag.Parse()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		panic(err)
	}
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c == nil {
			write(map[string]string{"candidate": ""})
			return
		}
		write(map[string]interface{}{"candidate": c.ToJSON().Candidate, "sdpMid": "0", "sdpMLineIndex": 0})
	})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		write(map[string]string{"event": "state", "connection": s.String()})
		if s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateClosed {
			once.Do(func() { close(done) })
		}
	})
	pc.OnDataChannel(func(channel *webrtc.DataChannel) {
		if *script {
			useScripted(channel, true)
		} else {
			use(channel)
		}
	})
	if *role == "offer" {
		channel, err := pc.CreateDataChannel(*label, nil)
		if err != nil {
			panic(err)
		}
		if *script {
			useScripted(channel, false)
		} else {
			use(channel)
		}
		describe(pc, "offer", nil)
	}
	go read(pc)
	<-done
	time.Sleep(300 * time.Millisecond) // what was sent last must leave first
	lock.Lock()
	ok := good && opened > 0 && received >= *expect
	write(map[string]interface{}{"event": "result", "sent": sent, "received": received, "bytes": bytes,
		"transfer_ms": float64(last.Sub(first).Microseconds()) / 1000, "ok": ok})
	lock.Unlock()
	pc.Close()
	if !ok {
		os.Exit(1)
	}
}
