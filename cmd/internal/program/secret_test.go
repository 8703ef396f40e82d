package program

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestASecretThatWasTypedOrLeftAsItWasIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ value, because string }{
		"nothing":                              {"", "is not set"},
		"ASVS-13.2.3 what manuals write":       {"changeme-changeme-changeme", "is a default"},
		"ASVS-13.2.3 the same in capitals":     {"CHANGE_ME_BEFORE_PRODUCTION", "is a default"},
		"ASVS-13.2.3 a template not filled in": {"${PORTICO_OIDC_CLIENT_SECRET}", "is a default"},
		"ASVS-13.2.3 a placeholder":            {"<your client secret here>", "is a default"},
		"ASVS-13.2.3 a row of keys":            {"qwertyuiopasdfghjkl", "is a default"},
		"ASVS-13.2.3 digits in order":          {"1234567890123456789", "is a default"},
		"ASVS-13.2.3 one character":            {strings.Repeat("x", 40), "is a few characters"},
		"ASVS-13.2.3 three characters":         {strings.Repeat("abc", 12), "is a few characters"},
		"something short":                      {"hunter2", "is too short"},
		"a space in front":                     {" 6f1d2c3b9a8b7c6d5e4f", "has white space"},
		"a line break inside":                  {"6f1d2c3b9a8b\n7c6d5e4f", "has characters"},
		"a file in two bytes a character":      {"6\x00f\x001\x00d\x002\x00c\x003\x00b\x009\x00a\x00", "has characters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Secret{value: c.value}.check()
			if err == nil || !strings.HasPrefix(err.Error(), c.because) {
				t.Fatalf("the error is %v", err)
			}
			if len(c.value) > 10 && strings.Contains(err.Error(), c.value) {
				t.Errorf("the error holds it: %v", err)
			}
		})
	}
	for _, value := range []string{"6f1d2c3b9a8b7c6d", "Zm9v+YmFy/MTIzNDU2Nzg5MA==", "a secret that VSCHAR allows ~!"} {
		if err := (Secret{value: value}).check(); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestASVS_13_3_1_ASecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const value = "canary-secret-6f1d2c3b"
	secret := Secret{value: value, file: "/run/secrets/x"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, what := range []any{secret, &secret, Config{Keys: secret}} {
			got := fmt.Sprintf(verb, what)
			if strings.Contains(got, value) || strings.Contains(got, fmt.Sprintf("%x", value)) {
				t.Errorf("%s prints %s", verb, got)
			}
		}
	}
}

func TestASecretsFileIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	for size, ok := range map[int]bool{0: true, maxSecret: true, maxSecret + 1: false, 4 << 20: false} {
		if err := os.WriteFile(path, []byte(strings.Repeat("a", size)), 0o600); err != nil {
			t.Fatal(err)
		}
		text, err := readSecret(path)
		if ok != (err == nil) || ok && len(text) != size || !ok && text != "" {
			t.Errorf("%d bytes are read as %d: %v", size, len(text), err)
		}
	}
}
