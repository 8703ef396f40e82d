package ratelimit

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestClientsAreToldApartByWhatOneHostCannotChange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ addr, want string }{
		"IPv4 as it is":                       {"192.0.2.7", "192.0.2.7"},
		"IPv4 in IPv6":                        {"::ffff:192.0.2.7", "192.0.2.7"},
		"IPv4 in IPv6, in hexadecimal":        {"::ffff:c000:207", "192.0.2.7"},
		"IPv4 in IPv6 with a zone":            {"::ffff:192.0.2.7%eth0", "192.0.2.7"},
		"IPv4 behind a translator":            {"64:ff9b::192.0.2.7", "192.0.2.7"},
		"IPv6 by its /64":                     {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		"another address of the same /64":     {"2001:db8:1:2::", "2001:db8:1:2::/64"},
		"another /64":                         {"2001:db8:1:3:3:4:5:6", "2001:db8:1:3::/64"},
		"IPv6 with a zone":                    {"fe80::1%eth0", "fe80::/64"},
		"beside the translator, in its block": {"64:ff9b::1:192.0.2.7", "64:ff9b::/64"},
		"the host itself":                     {"::1", "::/64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := clientKey(netip.MustParseAddr(test.addr)); got != test.want {
				t.Errorf("got %s, not %s", got, test.want)
			}
		})
	}
	if got := clientKey(netip.Addr{}); got != "unknown" {
		t.Errorf("no address: %s", got)
	}
}

func TestTheTableDoesNotHoldTheAddress(t *testing.T) {
	t.Parallel()
	key := signup.address("anna@example.com", Limit{Count: 1, Per: time.Minute}).Key
	if strings.Contains(key, "anna") || len(key) != len("signup-address:")+22 {
		t.Errorf("the key is %s", key)
	}
	if key == signup.address("anne@example.com", Limit{}).Key {
		t.Error("two addresses have one key")
	}
}

// Locks are taken in the order of the keys.
func TestASVS_15_4_3_TheBucketThatAllShareIsLockedLast(t *testing.T) {
	t.Parallel()
	for _, a := range []action{signup, resend} {
		global := a.global(Limit{}).Key
		for _, b := range []Bucket{a.client(netip.MustParseAddr("2001:db8::1"), Limit{}), a.address("z", Limit{}), a.domain("z", Limit{})} {
			if b.Key >= global {
				t.Errorf("%s is not before %s", b.Key, global)
			}
		}
	}
}

func TestAQuotaIsWhatABucketStillGives(t *testing.T) {
	t.Parallel()
	limit := Limit{Count: 4, Per: 40 * time.Second}
	for name, test := range map[string]struct {
		debt time.Duration
		want Quota
	}{
		"drained long ago":        {-time.Hour, Quota{4, 4, 0}},
		"just drained":            {0, Quota{4, 4, 0}},
		"one token out":           {10 * time.Second, Quota{4, 3, 10 * time.Second}},
		"one nearly back":         {time.Microsecond, Quota{4, 3, time.Second}},
		"two and a bit out":       {20*time.Second + time.Microsecond, Quota{4, 1, time.Second}},
		"all out":                 {40 * time.Second, Quota{4, 0, 10 * time.Second}},
		"one nearly free":         {30*time.Second + time.Microsecond, Quota{4, 0, time.Second}},
		"one free":                {30 * time.Second, Quota{4, 1, 10 * time.Second}},
		"more out than there are": {55 * time.Second, Quota{4, 0, 25 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := limit.quota(moment.Add(test.debt), moment); got != test.want {
				t.Errorf("got %+v, not %+v", got, test.want)
			}
			if free := limit.wait(moment.Add(test.debt), moment) <= 0; free != (test.want.Remaining > 0) {
				t.Errorf("with %d left, free: %v", test.want.Remaining, free)
			}
		})
	}
	if got := limit.quota(time.Time{}, moment); got != (Quota{4, 4, 0}) {
		t.Errorf("never used: %+v", got)
	}
}
