package program

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

const redacted = "[redacted]"

// Secret is a setting that must not be shown. It may come from a file, named
// by the same variable with _FILE behind it.
type Secret struct {
	value string
	file  string
}

// UnmarshalText takes the value as it was given.
func (s *Secret) UnmarshalText(text []byte) error {
	s.value = string(text)
	return nil
}

// Reveal returns the value as it was at the start.
func (s Secret) Reveal() string { return s.value }

// Current returns the value as the file has it now, so that a secret which is
// replaced on disk counts from the next use.
func (s Secret) Current() (string, error) {
	if s.file == "" {
		return s.value, nil
	}
	return readSecret(s.file)
}

// String hides the value.
func (Secret) String() string { return redacted }

// Format hides the value from every verb: %d would walk into the fields.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue hides the value and says whether there is one.
func (s Secret) LogValue() slog.Value {
	if s.value == "" {
		return slog.StringValue("")
	}
	return slog.StringValue(redacted)
}

// maxSecret is the longest secret that a file may hold, in bytes.
const maxSecret = 64 << 10

// readSecret returns what the file holds, without the line break that editors
// put at its end.
func readSecret(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(raw) > maxSecret {
		return "", fmt.Errorf("%s is longer than %d KiB: it cannot be a secret", path, maxSecret>>10)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

const (
	// minSecret is the shortest secret, in characters. Who makes ours uses far
	// more; shorter ones were typed.
	minSecret = 8
	// minDistinct is what no random text of that length falls below but once in
	// many thousands.
	minDistinct = 4
)

// defaults begin what manuals, templates and generators put where a secret is
// to be filled in.
//
//nolint:gochecknoglobals // a table
var defaults = []string{
	"changeme", "change-me", "change_me", "replaceme", "replace-me", "replace_me", "placeholder", "insert-", "insert_",
	"password", "example", "default", "secret12", "your-", "your_", "yoursecret", "12345678", "abcdefgh", "qwerty",
	"${", "{{", "<",
}

// check refuses a secret that is missing, that was typed rather than drawn, or
// that a manual gave as an example.
func (s Secret) check() error {
	if s.value == "" {
		return errors.New("is not set")
	}
	lower := strings.ToLower(s.value)
	for _, known := range defaults {
		if strings.HasPrefix(lower, known) {
			return fmt.Errorf("is a default that anyone can guess (%q…)", known)
		}
	}
	distinct := make(map[rune]bool)
	for _, r := range s.value {
		// RFC 6749 §A.2 allows nothing else, and a header has no place for it.
		if r < ' ' || r > '~' {
			return errors.New("has characters that a secret cannot have: is it the right file?")
		}
		distinct[r] = true
	}
	switch {
	case strings.TrimSpace(s.value) != s.value:
		return errors.New("has white space around it")
	case len(s.value) < minSecret:
		return fmt.Errorf("is too short for a secret: at least %d characters", minSecret)
	case len(distinct) < minDistinct:
		return errors.New("is a few characters over and over")
	}
	return nil
}
