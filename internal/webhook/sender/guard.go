package sender

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"code.dny.dev/ssrf"
)

// errAddress says that a connection was not made because of where it would
// have led.
var errAddress = errors.New("nothing is sent to this address")

// Networks that may be permitted although they are not the internet.
//
//nolint:gochecknoglobals // tables
var (
	loopback = []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("::1/128"),
	}
	private = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("fc00::/7"),
	}
	// metadata services of clouds hand out credentials to whoever asks, and
	// some have addresses in networks that may be permitted. The usual one is
	// link-local, which never is.
	metadata = []netip.Addr{
		netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
		netip.MustParseAddr("fd00:ec2::254"),   // EC2
		netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
	}
)

// guard decides about connections.
type guard struct {
	public *ssrf.Guardian
	inside []netip.Prefix // permitted although they are not the internet
}

func newGuard(c Config) *guard {
	// Networks and ports are judged here: what is allowed depends on where.
	g := &guard{public: ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork())}
	if c.Loopback || c.Private {
		g.inside = append(g.inside, loopback...)
	}
	if c.Private {
		g.inside = append(g.inside, private...)
	}
	return g
}

// plainKey marks the context of a request without TLS.
type plainKey struct{}

// control is called with each address that a name has led to, just before the
// connection is made.
func (g *guard) control(ctx context.Context, network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return errAddress
	}
	plain, _ := ctx.Value(plainKey{}).(bool)
	return g.judge(at, plain)
}

func (g *guard) judge(at netip.AddrPort, plain bool) error {
	// An IPv4 address that is written as IPv6 leads to the same place.
	ip := at.Addr().Unmap().WithZone("")
	switch {
	case slices.Contains(metadata, ip):
		return errAddress
	case slices.ContainsFunc(g.inside, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return nil
	case plain:
		return errAddress // anybody on the way could read it
	case at.Port() != 443 && at.Port() < 1024:
		return errAddress
	case g.public.SafeAddr(ip) != nil:
		return errAddress
	}
	return nil
}
