package keyring

import "encoding/base64"

// Stale reports whether a text that Seal returned was sealed under another key
// than the newest: what is kept for long is opened and sealed again, so that
// the older key can be dropped. It says nothing about whether the text opens.
func (r *Ring) Stale(sealed string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(raw) < header || raw[0] != version {
		return true
	}
	return [idSize]byte(raw[1:]) != (*r.keys.Load())[0].id
}
