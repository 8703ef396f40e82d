// Package keyring seals short texts that travel through hands we do not trust.
//
// It owns the ring of secret keys, newest first, and the sealed format:
//
//	base64url( version | key id, 4 bytes | nonce, 12 bytes | ciphertext and tag )
//
// Sealing is AES-256-GCM under the newest key. The purpose a text was sealed
// for is authenticated with it, so that a text sealed for one use never opens
// for another.
//
// A key goes through these states, by what the operator writes and the program
// hands to [Ring.Replace]; nothing has to be restarted or sealed again:
//
//	behind the first     opens: replicas learn of it before anything is sealed under it
//	the first            seals and opens
//	behind the first     opens what is still under way
//	dropped              nothing: what was sealed under it is refused from now on
//
// It refuses to own what is sealed, when it expires, where keys are kept, and
// when they are read again.
// It never shows a key: not in a log, an error, or a formatted value. Its
// neighbour is [login], whose flows travel sealed.
//
// [login]: https://pkg.go.dev/github.com/portico-id/portico/internal/login
package keyring
