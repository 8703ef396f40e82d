// Package keyring seals short texts that travel through hands we do not trust.
//
// It owns the ring of secret keys, newest first, and the sealed format:
//
//	base64url( version | key id, 4 bytes | nonce, 12 bytes | ciphertext and tag )
//
// Sealing is AES-256-GCM under the newest key. The purpose a text was sealed
// for is authenticated with it, so that a text sealed for one use never opens
// for another. A key is rotated by putting a new one in front, and retired by
// dropping it once everything sealed under it has expired.
//
// It refuses to own what is sealed, when it expires, and where keys are kept.
// It never shows a key: not in a log, an error, or a formatted value. Its
// neighbour is [login], whose flows travel sealed.
//
// [login]: https://pkg.go.dev/github.com/portico-id/portico/internal/login
package keyring
