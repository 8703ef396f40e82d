package ratelimit

import (
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
)

// The kinds of buckets, by the names that they have in settings, in a
// Decision and in metrics.
const (
	Client  = "client"
	Address = "address"
	Domain  = "domain"
	Global  = "global"
	Login   = "login"
	Logout  = "logout"
	Email   = "email"
	Admin   = "admin"
)

// Bucket is one bucket and how much it holds.
type Bucket struct {
	Kind  string
	Key   string // unique over all kinds and actions
	Limit Limit
}

// ofClient reports whether the bucket is the caller's own, whose state may be
// told.
func (b Bucket) ofClient() bool {
	return b.Kind == Client || b.Kind == Login || b.Kind == Logout || b.Kind == Email || b.Kind == Admin
}

// action is what is limited, with buckets of its own.
type action string

const (
	signup action = "signup"
	resend action = "resend"
	login  action = "login"
	logout action = "logout"
	email  action = "email"
	admin  action = "admin"
)

func (a action) client(addr netip.Addr, limit Limit) Bucket {
	return a.clientBy(Client, addr, limit)
}

// clientBy is a client's bucket under a setting of its own.
func (a action) clientBy(kind string, addr netip.Addr, limit Limit) Bucket {
	return a.bucket(kind, ":"+clientKey(addr), limit)
}

// user is a user's bucket.
func (a action) user(id string, limit Limit) Bucket { return a.bucket(Email, ":"+id, limit) }

func (a action) address(canonical string, limit Limit) Bucket {
	return a.bucket(Address, ":"+addressKey(canonical), limit)
}

func (a action) domain(canonical string, limit Limit) Bucket {
	return a.bucket(Domain, ":"+canonical, limit)
}

func (a action) global(limit Limit) Bucket { return a.bucket(Global, "", limit) }

func (a action) bucket(kind, of string, limit Limit) Bucket {
	return Bucket{Kind: kind, Key: string(a) + "-" + kind + of, Limit: limit}
}

// nat64 is where translators put the whole of IPv4 (RFC 6052 §2.1). As one /64
// it would be a single client.
//
//nolint:gochecknoglobals // a constant in all but the language's eyes
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// clientKey tells clients apart. A host can have every address of its /64
// (RFC 8981), so limits by whole IPv6 addresses would limit nobody; and one
// host must not count anew for each way to write its IPv4 address.
func clientKey(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return "unknown"
	}
	if addr.Is4() {
		return addr.String()
	}
	if nat64.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:])).String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// addressKey names an e-mail address in a table of which nobody should be able
// to read who signs up. Half of a SHA-256 is more than enough to tell them
// apart; like any hash of an address it confirms a guess.
func addressKey(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}
