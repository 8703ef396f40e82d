package mail

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
)

func TestASVS_12_3_2_AServerThatCannotBeTrustedGetsNothing(t *testing.T) {
	t.Parallel()
	ours, roots := certificate(t, "127.0.0.1")
	others, othersRoots := certificate(t, "mail.example.com")
	for _, tt := range []struct {
		name    string
		address string
		offer   *tls.Config
		roots   *x509.CertPool
		step    Step
	}{
		{"STARTTLS is not offered, or was stripped on the way", "smtp://" + credentials + "HOST?tls=starttls", nil, roots, StepTLS},
		{"STARTTLS with somebody else's certificate", "smtp://" + credentials + "HOST?tls=starttls", others, othersRoots, StepTLS},
		{"STARTTLS with a certificate that nobody vouches for", "smtp://" + credentials + "HOST?tls=starttls", ours, x509.NewCertPool(), StepTLS},
		{"TLS with somebody else's certificate", "smtps://" + credentials + "HOST", others, othersRoots, StepTLS},
		{"TLS with a certificate that nobody vouches for", "smtps://" + credentials + "HOST", ours, x509.NewCertPool(), StepTLS},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &sink{mechanisms: []string{"PLAIN", "LOGIN"}, offer: tt.offer, readableAuth: true}
			address := strings.Replace(tt.address, "HOST", s.start(t, strings.HasPrefix(tt.address, "smtps")), 1)
			m := newMailer(t, address, func(c *Config) { c.Roots = tt.roots })
			e := mustSendError(t, m.Send(t.Context(), toAda))
			if e.Step != tt.step || e.Class != Misconfigured {
				t.Errorf("got %v", e)
			}
			if _, commands := s.letters(); len(commands) != 0 {
				t.Errorf("the server was told %q", commands)
			}
		})
	}
}

// TLS before 1.2 is broken (RFC 8996).
func TestASVS_12_1_1_AServerThatSpeaksOnlyAnOlderTLSGetsNothing(t *testing.T) {
	t.Parallel()
	config, roots := certificate(t, "127.0.0.1")
	for version, spoken := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			offer := config.Clone()
			offer.MinVersion, offer.MaxVersion = tls.VersionTLS10, version
			s := &sink{mechanisms: []string{"PLAIN"}, offer: offer}
			m := newMailer(t, "smtps://"+credentials+s.start(t, true), func(c *Config) { c.Roots = roots })
			err := m.Send(t.Context(), toAda)
			if letters, commands := s.letters(); (len(letters) == 1) != spoken || (len(commands) > 0) != spoken {
				t.Errorf("%d letters arrived, after %q", len(letters), commands)
			}
			if spoken {
				if err != nil {
					t.Error(err)
				}
			} else if e := mustSendError(t, err); e.Step != StepTLS {
				t.Errorf("got %v", e)
			}
		})
	}
}

// An attacker in the middle may send replies ahead of the TLS handshake, to be
// read as the server's (CVE-2011-0411).
func TestRepliesFromBeforeTLSAreNotReadAfterIt(t *testing.T) {
	t.Parallel()
	host := converse(t, func(line string) string {
		switch {
		case strings.HasPrefix(line, "EHLO"):
			return "250-mail.example\r\n250 STARTTLS"
		case line == "STARTTLS":
			return "220 go ahead\r\n250-mail.example\r\n250 AUTH PLAIN\r\n235 welcome"
		default:
			return "250 ok"
		}
	})
	_, roots := certificate(t, "127.0.0.1")
	m := newMailer(t, "smtp://"+credentials+host+"?tls=starttls", func(c *Config) { c.Roots = roots })
	e := mustSendError(t, m.Send(t.Context(), toAda))
	if e.Step != StepTLS {
		t.Errorf("got %v", e)
	}
}
