package sender

import (
	"net/netip"
	"testing"
)

func TestASVS_1_3_6_ConnectionsAreJudgedByWhereTheyLead(t *testing.T) {
	t.Parallel()
	public, local, inside := newGuard(Config{}), newGuard(Config{Loopback: true}), newGuard(Config{Private: true})
	for address, may := range map[string][3]bool{ // public, local, inside
		"8.8.8.8:443":                  {true, true, true},
		"8.8.8.8:8443":                 {true, true, true},
		"[2606:4700::1111]:443":        {true, true, true},
		"[::ffff:8.8.8.8]:443":         {true, true, true},
		"127.0.0.1:443":                {false, true, true},
		"127.0.0.1:80":                 {false, true, true},
		"127.8.9.1:443":                {false, true, true},
		"[::1]:443":                    {false, true, true},
		"[::ffff:127.0.0.1]:443":       {false, true, true},
		"10.1.2.3:443":                 {false, false, true},
		"172.16.0.1:443":               {false, false, true},
		"192.168.1.1:443":              {false, false, true},
		"100.64.0.1:443":               {false, false, true},
		"[fd12:3456::1]:443":           {false, false, true},
		"[::ffff:10.0.0.1]:443":        {false, false, true},
		"169.254.169.254:443":          {},
		"[::ffff:169.254.169.254]:443": {},
		"[fe80::1]:443":                {},
		"[fe80::1%eth0]:443":           {},
		"[fd00:ec2::254]:443":          {},
		"[fd20:ce::254]:443":           {},
		"100.100.100.200:443":          {},
		"0.0.0.0:443":                  {},
		"[::]:443":                     {},
		"255.255.255.255:443":          {},
		"224.0.0.1:443":                {},
		"[ff02::1]:443":                {},
		"192.0.2.1:443":                {},
		"198.18.0.1:443":               {},
		"[2001:db8::1]:443":            {},
		"[2002:7f00:1::]:443":          {}, // 6to4 of 127.0.0.1
		"[64:ff9b::7f00:1]:443":        {}, // NAT64 of it
		"[::127.0.0.1]:443":            {}, // and the oldest way
		"8.8.8.8:25":                   {},
		"8.8.8.8:80":                   {},
		"8.8.8.8:22":                   {},
	} {
		for i, g := range []*guard{public, local, inside} {
			if err := g.judge(netip.MustParseAddrPort(address), false); (err == nil) != may[i] {
				t.Errorf("%s under rules %d: %v", address, i, err)
			}
		}
	}
}

func TestPlainHTTPStaysInside(t *testing.T) {
	t.Parallel()
	g := newGuard(Config{Private: true})
	for address, may := range map[string]bool{"10.1.2.3:80": true, "127.0.0.1:8080": true, "8.8.8.8:8080": false, "[2606:4700::1111]:8080": false} {
		if err := g.judge(netip.MustParseAddrPort(address), true); (err == nil) != may {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestOnlyTCPIsSpoken(t *testing.T) {
	t.Parallel()
	g := newGuard(Config{Private: true})
	for network, address := range map[string]string{"udp4": "127.0.0.1:443", "unix": "/run/docker.sock", "tcp4": "localhost:443"} {
		if g.control(t.Context(), network, address, nil) == nil {
			t.Errorf("%s to %s", network, address)
		}
	}
}
