package program

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/portico-id/portico/internal/store/storetest"
)

// impostor is a server with a certificate that nobody vouches for. It notes
// which versions of TLS it is offered, and what it is told beneath.
type impostor struct {
	address string // HOST:PORT

	mu      sync.Mutex
	offered []uint16
	told    int // requests, or bytes
}

func (i *impostor) note(offered []uint16, told int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.offered = append(i.offered, offered...)
	i.told += told
}

// newImpostor serves HTTPS; or, where it greets, TLS after that, as another
// protocol begins.
func newImpostor(t *testing.T, greets func(conn net.Conn) error) *impostor {
	t.Helper()
	i := new(impostor)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { i.note(nil, 1) }))
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // it is refused, as it should be
	web.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		i.note(hello.SupportedVersions, 0)
		return nil, nil //nolint:nilnil // crypto/tls's way to say that the configuration is as it was
	}}
	web.StartTLS()
	t.Cleanup(web.Close)
	i.address = web.Listener.Addr().String()
	if greets == nil {
		return i
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var talking sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		talking.Wait()
	})
	talking.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			talking.Go(func() {
				defer conn.Close()
				if greets(conn) != nil {
					return
				}
				n, _ := io.Copy(io.Discard, tls.Server(conn, web.TLS))
				i.note(nil, int(n))
			})
		}
	})
	i.address = listener.Addr().String()
	return i
}

// upgraded is how a Postgres says that it speaks TLS.
func upgraded(conn net.Conn) error {
	if _, err := io.ReadFull(conn, make([]byte, 8)); err != nil {
		return err
	}
	_, err := io.WriteString(conn, "S")
	return err
}

// TestWhoeverPorticoTalksToHasToShowWhoTheyAre puts a server with a foreign
// certificate in each place that Portico calls (CWE-295), and looks at the
// versions of TLS that it is offered: those before 1.2 are broken (RFC 8996).
func TestWhoeverPorticoTalksToHasToShowWhoTheyAre(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		setting string
		address func(i *impostor) string
		greets  func(net.Conn) error
		line    string // of check's table
	}{
		"the provider":    {"PORTICO_OIDC_ISSUER", func(i *impostor) string { return "https://" + i.address }, nil, "discovery"},
		"Beyond Identity": {"PORTICO_BEYOND_API_URL", func(i *impostor) string { return "https://" + i.address }, nil, "management API"},
		"the challenge":   {"PORTICO_CHALLENGE_URL", func(i *impostor) string { return "https://" + i.address }, nil, "challenge"},
		"the database":    {"PORTICO_DATABASE_URL", databaseAt, upgraded, "database"},
	} {
		t.Run("ASVS-12.1.1 ASVS-12.3.2 "+name, func(t *testing.T) {
			t.Parallel()
			w := newKindWorld(t, storetest.SQLite(t))
			other := newImpostor(t, c.greets)
			w.settings["PORTICO_CHALLENGE_SECRET"] = "canary-challenge-5d8e"
			w.settings["PORTICO_CHALLENGE_URL"] = w.simURL
			w.settings[c.setting] = c.address(other)
			out, _ := w.command("check") // which fails, whatever it says of the others
			if !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool {
				return strings.HasPrefix(line, c.line+" ") && strings.Contains(line, "FAILED") && strings.Contains(line, "certificate")
			}) {
				t.Errorf("nothing says that the certificate is no one's:\n%s", out)
			}
			other.mu.Lock()
			defer other.mu.Unlock()
			if other.told > 0 {
				t.Error("it was told something all the same")
			}
			if len(other.offered) == 0 || slices.Min(other.offered) < tls.VersionTLS12 {
				t.Errorf("it was offered the versions %x", other.offered)
			}
		})
	}
}

func databaseAt(i *impostor) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword("portico", "canary-password"), Host: i.address, Path: "/portico",
		RawQuery: "sslmode=verify-full&connect_timeout=10",
	}).String()
}
