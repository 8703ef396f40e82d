package store

import (
	"crypto/tls"
	"net/netip"
	"strings"
)

// Way is how connections get to the database.
type Way struct {
	Host   string // a name, an address or a folder of sockets; "" for a file
	Local  bool   // they do not leave the machine
	Proven bool   // TLS only, with a certificate that is checked to be the host's
}

// Way returns how connections get to the database. Of several hosts it is the
// worst one's.
func (db *DB) Way() Way {
	if db.pool == nil {
		return Way{Local: true}
	}
	config := db.pool.Config().ConnConfig
	way := wayTo(config.Host, config.TLSConfig)
	for _, other := range config.Fallbacks {
		if next := wayTo(other.Host, other.TLSConfig); !next.Safe() {
			way = next
		}
	}
	return way
}

func wayTo(host string, over *tls.Config) Way {
	return Way{Host: host, Local: local(host), Proven: over != nil && !over.InsecureSkipVerify && over.ServerName != ""}
}

// Safe reports whether nobody on the way can read along or answer in the
// database's stead.
func (w Way) Safe() bool { return w.Local || w.Proven }

// local reports whether the host is this machine: a socket's folder, which pgx
// knows by its first letter, or a loopback address.
func local(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || err == nil && address.Unmap().IsLoopback()
}
