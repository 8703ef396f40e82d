package sender_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/portico-id/portico/internal/webhook"
	"github.com/portico-id/portico/internal/webhook/sender"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receive starts a receiver on this machine, with TLS, and returns a sender
// that may reach it.
func receive(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *sender.Sender) {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	return server, newSender(t, sender.Config{Loopback: true, Roots: rootsOf(server)})
}

func rootsOf(server *httptest.Server) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return roots
}

func newSender(t *testing.T, c sender.Config) *sender.Sender {
	t.Helper()
	c.UserAgent = "portico/test"
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	s := sender.New(c)
	t.Cleanup(s.CloseIdle)
	return s
}

func requestTo(address string) webhook.Request {
	return webhook.Request{
		URL: address, Message: "msg_1", At: time.Unix(1614265330, 0), Signature: "v1,abc v1,def", Body: []byte(`{"type":"x"}`),
	}
}

// names is a name server that says what it is told to, one answer a question.
type names struct {
	mu      sync.Mutex
	answers [][]netip.Addr // the last one stays
	asked   int
}

// resolver returns a resolver that asks the server, until the test ends.
func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { n.serve(conn) })
	t.Cleanup(func() {
		_ = conn.Close()
		serving.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (n *names) serve(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var question dnsmessage.Message
		if question.Unpack(buffer[:size]) != nil || len(question.Questions) != 1 {
			continue
		}
		answer := n.answer(question)
		if raw, err := answer.Pack(); err == nil {
			_, _ = conn.WriteTo(raw, from)
		}
	}
}

// answer says the next addresses to a question for IPv4; there is no other.
func (n *names) answer(question dnsmessage.Message) dnsmessage.Message {
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: question.ID, Response: true, RecursionAvailable: true},
		Questions: question.Questions,
	}
	q := question.Questions[0]
	if q.Type != dnsmessage.TypeA || !slices.Contains([]string{"example.com.", "app.example."}, q.Name.String()) {
		return answer
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ip := range n.answers[min(n.asked, len(n.answers)-1)] {
		answer.Answers = append(answer.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
			Body:   &dnsmessage.AResource{A: ip.As4()},
		})
	}
	n.asked++
	return answer
}
