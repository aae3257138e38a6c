// pion's TURN client: allocates over a transport, sends datagrams to a peer that
// echoes them, and prints one line of JSON with what came back.
//
//	turn --transport udp|tcp|tls|dtls --server 127.0.0.1:3478 --peer 127.0.0.1:9
//	     --user u --password p --realm r --ca FILE --send N
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"net"
	"os"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/logging"
	"github.com/pion/turn/v2"
)

var (
	transport = flag.String("transport", "udp", "udp, tcp, tls or dtls")
	server    = flag.String("server", "", "host:port")
	peer      = flag.String("peer", "", "host:port of the echo")
	user      = flag.String("user", "", "name")
	password  = flag.String("password", "", "password")
	realm     = flag.String("realm", "kyuu", "realm")
	ca        = flag.String("ca", "", "file of a certificate to trust")
	send      = flag.Int("send", 50, "datagrams")
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(*ca)
	check(err)
	pool.AppendCertsFromPEM(pem)
	return pool
}

func dial() net.PacketConn {
	if *transport == "udp" {
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		check(err)
		return conn
	}
	var conn net.Conn
	var err error
	switch *transport {
	case "tcp":
		conn, err = net.Dial("tcp", *server)
	case "tls":
		conn, err = tls.Dial("tcp", *server, &tls.Config{RootCAs: roots(), ServerName: "127.0.0.1"})
	case "dtls":
		var address *net.UDPAddr
		address, err = net.ResolveUDPAddr("udp4", *server)
		check(err)
		conn, err = dtls.Dial("udp4", address, &dtls.Config{RootCAs: roots(), ServerName: "127.0.0.1"})
	default:
		panic("no such transport")
	}
	check(err)
	return turn.NewSTUNConn(conn)
}

func main() {
	flag.Parse()
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: *server, TURNServerAddr: *server, Conn: dial(), Username: *user,
		Password: *password, Realm: *realm, LoggerFactory: logging.NewDefaultLoggerFactory()})
	check(err)
	check(client.Listen())
	relay, err := client.Allocate()
	check(err)
	address, err := net.ResolveUDPAddr("udp4", *peer)
	check(err)
	echoed := 0
	buffer := make([]byte, 2000)
	for i := 0; i < *send; i++ {
		// Its reader of streams waits for more if a frame is shorter than 9 bytes,
		// or not padded to 4, which over DTLS none is.
		message := bytes.Repeat([]byte{byte(i)}, 20+i*20)
		_, err = relay.WriteTo(message, address)
		check(err)
		check(relay.SetReadDeadline(time.Now().Add(10 * time.Second)))
		n, from, err := relay.ReadFrom(buffer)
		check(err)
		if bytes.Equal(buffer[:n], message) && from.String() == address.String() {
			echoed++
		}
	}
	check(relay.Close())
	client.Close()
	check(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"event": "result", "echoed": echoed, "relayed": relay.LocalAddr().String()}))
}
