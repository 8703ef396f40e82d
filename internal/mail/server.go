package mail

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// The ports of RFC 6409 §3.1 and RFC 8314 §3.3.
const (
	submissionPort  = "587"
	submissionsPort = "465"
)

// ErrServer is returned by ParseServer, wrapped with the reason. Its text
// never repeats any part of the address, which holds a password.
var ErrServer = errors.New("unusable address of a mail server")

// protection is how a connection to the server is protected.
type protection string

const (
	unprotected protection = "none"
	startTLS    protection = "starttls"
	implicitTLS protection = "implicit"
)

// Server says which mail server to hand letters to, how, and as whom. It
// holds a secret: it prints without user and password. Its zero value is no
// server.
type Server struct {
	host       string // a name in A-labels, or an IP address without brackets
	port       string
	protection protection
	user       string
	password   string
}

// ParseServer reads the address of a mail server:
//
//	smtp://host[:587]   STARTTLS, and no letter without it; none on loopback
//	smtps://host[:465]  TLS from the first byte
//
// each with user:password@ before the host where the server asks for it;
// characters such as @ : / ? # % in them are percent-encoded. After smtp,
// ?tls=starttls asks for STARTTLS on loopback too, and ?tls=none does without
// on any host: letters and their addresses then cross the network readable,
// which suits a mail sink in the next container and little else. Credentials
// go out under TLS or to loopback only. It returns ErrServer for all else.
func ParseServer(address string) (Server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		return Server{}, fmt.Errorf("%w: it does not read smtp://host or smtps://host, "+
			"or user and password are not percent-encoded", ErrServer)
	}
	if (u.Path != "" && u.Path != "/") || u.Fragment != "" {
		return Server{}, fmt.Errorf("%w: nothing may follow the host and the port", ErrServer)
	}
	var s Server
	if s.host, err = parseHost(u.Hostname()); err != nil {
		return Server{}, err
	}
	if err := s.protect(u); err != nil {
		return Server{}, err
	}
	if err := s.parsePort(u.Port()); err != nil {
		return Server{}, err
	}
	if err := s.parseCredentials(u.User); err != nil {
		return Server{}, err
	}
	return s, nil
}

// protect reads how the connection is protected.
func (s *Server) protect(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	wish := query.Get("tls")
	if err != nil || len(query["tls"]) != len(query) || (query.Has("tls") && wish == "") {
		return fmt.Errorf("%w: the only option is tls, given once", ErrServer)
	}
	switch {
	case u.Scheme == "smtps" && wish == "":
		s.protection = implicitTLS
	case u.Scheme == "smtps":
		return fmt.Errorf("%w: smtps has no option tls: it is TLS from the first byte", ErrServer)
	case u.Scheme != "smtp":
		return fmt.Errorf("%w: the scheme is neither smtp nor smtps", ErrServer)
	case wish == "" && !isLoopback(s.host), wish == string(startTLS):
		s.protection = startTLS
	case wish == "", wish == string(unprotected):
		s.protection = unprotected
	default:
		return fmt.Errorf("%w: tls is neither starttls nor none", ErrServer)
	}
	return nil
}

func (s *Server) parsePort(port string) error {
	switch {
	case port == "" && s.protection == implicitTLS:
		s.port = submissionsPort
	case port == "":
		s.port = submissionPort
	default:
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%w: the port is not a number from 1 to 65535", ErrServer)
		}
		s.port = strconv.FormatUint(n, 10)
	}
	return nil
}

func (s *Server) parseCredentials(user *url.Userinfo) error {
	if user == nil {
		return nil
	}
	s.user = user.Username()
	s.password, _ = user.Password()
	if s.user == "" || s.password == "" {
		return fmt.Errorf("%w: user and password go together", ErrServer)
	}
	if strings.ContainsAny(s.user+s.password, "\x00\r\n") {
		// NUL separates the two in PLAIN (RFC 4616 §2)
		return fmt.Errorf("%w: user or password holds a control character", ErrServer)
	}
	if s.protection == unprotected && !isLoopback(s.host) {
		return fmt.Errorf("%w: tls=none would send the password unencrypted", ErrServer)
	}
	return nil
}

// parseHost returns the host as the DNS and certificates spell it.
func parseHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		return addr.String(), nil
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil || ascii == "" || len(ascii) > maxDomain {
		return "", fmt.Errorf("%w: the host is neither a name nor an IP address", ErrServer)
	}
	return ascii, nil
}

// String returns the address without user and password. Some services take
// one key for both, so the user is a secret as well.
func (s Server) String() string {
	if s.host == "" {
		return ""
	}
	if s.protection == implicitTLS {
		return "smtps://" + s.hostPort()
	}
	return "smtp://" + s.hostPort() + "?tls=" + string(s.protection)
}

// Format prints the address without user and password under every verb, those
// included that would not ask String.
func (s Server) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is the address without user and password.
func (s Server) LogValue() slog.Value { return slog.StringValue(s.String()) }

func (s Server) hostPort() string { return net.JoinHostPort(s.host, s.port) }

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
