package admintoken

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	hashPrefix = "sha256:"
	maxTokens  = 64 // every token is another one that can leak: retire them
	longest    = 32 // characters of a name

	// minDistinct is what 32 random bytes fall below with a probability under
	// 10⁻¹².
	minDistinct = 16
)

// ErrEntries is returned by Parse, wrapped with the position of the entry at
// fault and the reason.
var ErrEntries = errors.New("unusable admin tokens")

// Parse reads entries, apart by ";", with white space around them ignored and
// nothing behind the last. It returns ErrEntries for none, for an empty or
// incomplete one, for a name, a scope or a hash that is not one or is there
// twice, and for hashes that no random token has. The error contains nothing
// of what was read: a token may have been put there by mistake.
func Parse(text string) (*Tokens, error) {
	text = strings.TrimSuffix(strings.TrimSpace(text), ";")
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("%w: none given", ErrEntries)
	}
	entries := strings.Split(text, ";")
	if len(entries) > maxTokens {
		return nil, fmt.Errorf("%w: more than %d", ErrEntries, maxTokens)
	}
	tokens := &Tokens{all: make([]kept, 0, len(entries))}
	for i, entry := range entries {
		k, fault := read(entry)
		if fault == "" {
			fault = tokens.repeated(k)
		}
		if fault != "" {
			return nil, fmt.Errorf("%w: entry %d of %d %s", ErrEntries, i+1, len(entries), fault)
		}
		tokens.all = append(tokens.all, k)
	}
	return tokens, nil
}

// repeated says what of the entry is in one before it, or "".
func (t *Tokens) repeated(k kept) string {
	for i, other := range t.all {
		switch {
		case other.holder.Name == k.holder.Name:
			return fmt.Sprintf("has the name of entry %d: give each token a name of its own", i+1)
		case other.hash == k.hash:
			return fmt.Sprintf("has the token of entry %d: give each holder one of their own", i+1)
		}
	}
	return ""
}

// read returns one entry, or what is wrong with it.
func read(entry string) (k kept, fault string) {
	fields := strings.Fields(entry)
	switch {
	case len(fields) == 0:
		return k, "is empty"
	case slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, prefix) }):
		return k, "has a token in it: only its hash belongs here, and this token should be thrown away"
	case len(fields) != 3:
		return k, "is not NAME SCOPE[,SCOPE…] sha256:HEX"
	case !isName(fields[0]):
		return k, fmt.Sprintf("has a name that is not of a-z, 0-9 and hyphens, at most %d", longest)
	}
	k.holder.Name = fields[0]
	if k.holder.Scopes, fault = readScopes(fields[1]); fault != "" {
		return k, fault
	}
	k.hash, fault = readHash(fields[2])
	return k, fault
}

func isName(text string) bool {
	return text != "" && len(text) <= longest && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func readScopes(text string) (scopes []Scope, fault string) {
	for name := range strings.SplitSeq(text, ",") {
		scope := Scope(name)
		switch {
		case !slices.Contains(Scopes(), scope):
			return nil, "has a scope that there is not: there are " + listed()
		case slices.Contains(scopes, scope):
			return nil, "has a scope twice"
		}
		scopes = append(scopes, scope)
	}
	return scopes, ""
}

func listed() string {
	var names []string
	for _, s := range Scopes() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// readHash reads a token's hash and refuses what stands for one in examples,
// and the hashes of what is no token: whoever can guess them is let in.
func readHash(text string) (h hash, fault string) {
	digits, ok := strings.CutPrefix(text, hashPrefix)
	if !ok {
		return h, "has no hash that begins with " + hashPrefix
	}
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != len(h) {
		return h, fmt.Sprintf("has a hash that is not %d hexadecimal digits", hex.EncodedLen(len(h)))
	}
	copy(h[:], raw)
	if distinct(raw) < minDistinct || strings.EqualFold(digits[:32], "0123456789abcdef0123456789abcdef") {
		return h, "has a hash that was typed, not computed"
	}
	if slices.Contains(weak(), h) {
		return h, "has the hash of a token that anyone can guess"
	}
	return h, ""
}

func distinct(raw []byte) int {
	seen := make(map[byte]bool)
	for _, b := range raw {
		seen[b] = true
	}
	return len(seen)
}

// weak are the hashes of what is left when a token was empty or all of one
// byte.
func weak() []hash {
	all := []hash{sha256.Sum256(nil), sha256.Sum256([]byte(prefix))}
	for b := range 256 {
		all = append(all, sha256.Sum256([]byte(strings.Repeat(string([]byte{byte(b)}), tokenSize))))
	}
	return all
}
