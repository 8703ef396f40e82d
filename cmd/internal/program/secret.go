package program

import (
	"errors"
	"fmt"
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

// GoString hides the value.
func (Secret) GoString() string { return redacted }

// LogValue hides the value and says whether there is one.
func (s Secret) LogValue() slog.Value {
	if s.value == "" {
		return slog.StringValue("")
	}
	return slog.StringValue(redacted)
}

func readSecret(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

// check refuses a secret that is missing or that a manual gave as an example.
func (s Secret) check() error {
	if s.value == "" {
		return errors.New("is not set")
	}
	if len(s.value) < 8 {
		return errors.New("is too short for a secret: at least 8 characters")
	}
	lower := strings.ToLower(s.value)
	for _, known := range []string{"changeme", "change-me", "change_me", "password", "example", "default", "secret12", "your-", "your_", "12345678"} {
		if strings.HasPrefix(lower, known) {
			return fmt.Errorf("is a default that anyone can guess (%q…)", known)
		}
	}
	return nil
}
