package main

import (
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pion/webrtc"
)

// What stdin asks of single channels: peers/scripted.mjs in pion's terms.

type command struct {
	Type              string   `json:"type"`
	Label             string   `json:"label"`
	Protocol          *string  `json:"protocol"`
	Ordered           *bool    `json:"ordered"`
	MaxRetransmits    *uint16  `json:"maxRetransmits"`
	MaxPacketLifeTime *uint16  `json:"maxPacketLifeTime"`
	Negotiated        *bool    `json:"negotiated"`
	ID                *uint16  `json:"id"`
	Sizes             []int    `json:"sizes"`
	Text              bool     `json:"text"`
	Say               []string `json:"say"`
}

type scripted struct {
	channel *webrtc.DataChannel
	sent    int
	todo    chan func()
}

var (
	scripts     = map[string]*scripted{} // The newest of each label.
	scriptsLock sync.Mutex
)

func pattern(i int, size int, text bool) []byte {
	m := make([]byte, size)
	for j := range m {
		if text {
			m[j] = byte('a' + (i+j)%26)
		} else {
			m[j] = byte(i + j)
		}
	}
	return m
}

func useScripted(channel *webrtc.DataChannel, incoming bool) {
	label := channel.Label()
	s := &scripted{channel: channel, todo: make(chan func(), 1000)}
	scriptsLock.Lock()
	scripts[label] = s
	scriptsLock.Unlock()
	go func() {
		for do := range s.todo {
			do()
		}
	}()
	channel.OnOpen(func() {
		line := map[string]interface{}{"event": "channel", "label": label, "id": channel.ID(), "protocol": channel.Protocol(),
			"ordered": channel.Ordered(), "incoming": incoming}
		if n := channel.MaxRetransmits(); n != nil {
			line["maxRetransmits"] = *n
		}
		if ms := channel.MaxPacketLifeTime(); ms != nil {
			line["maxPacketLifeTime"] = *ms
		}
		write(line)
	})
	index := 0
	channel.OnMessage(func(m webrtc.DataChannelMessage) {
		line := map[string]interface{}{"event": "message", "label": label, "index": index, "size": len(m.Data), "text": m.IsString,
			"number": nil, "intact": true}
		if len(m.Data) > 0 {
			number := int(m.Data[0])
			if m.IsString {
				number -= 'a'
			}
			line["number"] = number
			line["intact"] = number >= 0 && string(m.Data) == string(pattern(number, len(m.Data), m.IsString))
		}
		if m.IsString && len(m.Data) <= 1024 && utf8.Valid(m.Data) {
			line["said"] = string(m.Data)
		}
		index++
		write(line)
	})
	channel.OnError(func(err error) {
		write(map[string]interface{}{"event": "error", "label": label, "message": err.Error()})
	})
	channel.OnClose(func() { write(map[string]interface{}{"event": "closed", "label": label}) })
}

func (s *scripted) send(c command) {
	refuse := func(size int, err error) {
		if err != nil {
			write(map[string]interface{}{"event": "refused", "label": c.Label, "size": size, "reason": err.Error()})
		}
		s.sent++
	}
	wait := func() {
		for s.channel.BufferedAmount() > 1<<20 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	for _, size := range c.Sizes {
		wait()
		m := pattern(s.sent, size, c.Text)
		if c.Text {
			refuse(size, s.channel.SendText(string(m)))
		} else {
			refuse(size, s.channel.Send(m))
		}
	}
	for _, said := range c.Say {
		wait()
		refuse(len(said), s.channel.SendText(said))
	}
}

func follow(pc *webrtc.PeerConnection, c command) {
	if c.Type == "open" {
		channel, err := pc.CreateDataChannel(c.Label, &webrtc.DataChannelInit{Ordered: c.Ordered, MaxPacketLifeTime: c.MaxPacketLifeTime,
			MaxRetransmits: c.MaxRetransmits, Protocol: c.Protocol, Negotiated: c.Negotiated, ID: c.ID})
		if err != nil {
			write(map[string]interface{}{"event": "error", "label": c.Label, "message": err.Error()})
			return
		}
		useScripted(channel, false)
		return
	}
	scriptsLock.Lock()
	s := scripts[c.Label]
	scriptsLock.Unlock()
	if s == nil {
		write(map[string]interface{}{"event": "error", "label": c.Label, "message": fmt.Sprintf("no channel to %s", c.Type)})
		return
	}
	switch c.Type {
	case "send":
		s.todo <- func() { s.send(c) }
	case "close":
		s.todo <- func() {
			if err := s.channel.Close(); err != nil {
				write(map[string]interface{}{"event": "error", "label": c.Label, "message": err.Error()})
			}
		}
	}
}
