package mail

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestParseServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		address string
		want    string
	}{
		{"STARTTLS is the rule", "smtp://mail.example.com", "smtp://mail.example.com:587?tls=starttls"},
		{"TLS from the first byte", "smtps://mail.example.com/", "smtps://mail.example.com:465"},
		{"a port of one's own", "smtps://mail.example.com:8465", "smtps://mail.example.com:8465"},
		{"credentials stay out of sight", "smtp://canary-user:canary%40%2Fpass@mail.example.com:2587", "smtp://mail.example.com:2587?tls=starttls"},
		{"loopback by name needs no TLS", "smtp://localhost:1025", "smtp://localhost:1025?tls=none"},
		{"loopback by address needs no TLS, even with credentials", "smtp://canary-user:canary-pass@127.0.0.2:1025", "smtp://127.0.0.2:1025?tls=none"},
		{"loopback in IPv6", "smtp://[::1]:1025", "smtp://[::1]:1025?tls=none"},
		{"loopback with STARTTLS on request", "smtp://127.0.0.1?tls=starttls", "smtp://127.0.0.1:587?tls=starttls"},
		{"another host without TLS on request", "smtp://sink:1025?tls=none", "smtp://sink:1025?tls=none"},
		{"an internationalised host", "smtps://Bücher.example", "smtps://xn--bcher-kva.example:465"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseServer(tt.address)
			if err != nil {
				t.Fatal(err)
			}
			if s.String() != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestParseServerRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		address string
	}{
		{"nothing", ""},
		{"no scheme", "canary.example:587"},
		{"another scheme", "https://canary-user:canary-pass@canary.example"},
		{"no host", "smtp://canary-user:canary-pass@"},
		{"a user without a password", "smtp://canary-user@canary.example"},
		{"a password without a user", "smtp://:canary-pass@canary.example"},
		{"a slash that is not encoded", "smtp://canary-user:canary/pass@canary.example"},
		{"a slash after what reads as a port", "smtp://canary-user:123/canary-pass@canary.example"},
		{"a question mark that is not encoded", "smtp://canary-user:123?canary-pass@canary.example"},
		{"a hash that is not encoded", "smtp://canary-user:123#canary-pass@canary.example"},
		{"a percent sign that is not encoded", "smtp://canary-user:canary%pass@canary.example"},
		{"a NUL in the password", "smtps://canary-user:canary%00pass@canary.example"},
		{"a line break in the user", "smtps://canary%0d%0auser:canary-pass@canary.example"},
		{"a path", "smtps://canary.example/canary"},
		{"a port of zero", "smtps://canary.example:0"},
		{"a port beyond the last", "smtps://canary.example:65536"},
		{"a host that is none", "smtps://canary_example!"},
		{"an option that we do not know", "smtp://canary.example?canary=none"},
		{"an option given twice", "smtp://canary.example?tls=none&tls=none"},
		{"an empty option", "smtp://canary.example?tls="},
		{"another kind of TLS", "smtp://canary.example?tls=canary"},
		{"TLS and no TLS", "smtps://canary.example?tls=none"},
		{"a password that would cross the network readable", "smtp://canary-user:canary-pass@canary.example?tls=none"},
		{"a password that would, to what only looks like loopback", "smtp://canary-user:canary-pass@localhost.canary.example?tls=none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := ParseServer(tt.address)
			if !errors.Is(err, ErrServer) {
				t.Fatalf("got %v and %v", s, err)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "pass@") {
				t.Errorf("%q repeats the address", err)
			}
			if s != (Server{}) {
				t.Errorf("got %v beside the error", s)
			}
		})
	}
}

func TestServerHidesItsCredentials(t *testing.T) {
	t.Parallel()
	s, err := ParseServer("smtps://canary-user:canary-pass@mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "server", s, "config", fmt.Sprintf("%+v", Config{Server: s}))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T"} {
		_, _ = fmt.Fprintf(&log, verb, s)
		_, _ = fmt.Fprintf(&log, verb, &s)
		_, _ = fmt.Fprintf(&log, verb, []Server{s})
		_, _ = fmt.Fprintf(&log, verb, Config{Server: s})
	}
	hexadecimal := fmt.Sprintf("%x", "canary")
	if strings.Contains(log.String(), "canary") || strings.Contains(log.String(), hexadecimal) {
		t.Errorf("%s", log.String())
	}
}
