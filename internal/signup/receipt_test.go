package signup_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
	"github.com/portico-id/portico/internal/store"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestAReceiptHasOneSpelling(t *testing.T) {
	t.Parallel()
	// The last of 22 characters carries four bits that decode to nothing.
	const receipt = "Az-_0Az-_0Az-_0Az-_0AQ"
	if _, err := signup.Receipt(receipt).Hash(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":                  "",
		"truncated by one":         receipt[:21],
		"truncated to whole bytes": receipt[:20],
		"lengthened by one":        receipt + "A",
		"of another length":        receipt + "AAAAAA",
		"padded":                   receipt + "==",
		"trailing bits set":        receipt[:21] + "R",
		"the standard alphabet":    strings.NewReplacer("-", "+", "_", "/").Replace(receipt),
		"a line break at the end":  receipt + "\n",
		"a line break within":      receipt[:10] + "\r\n" + receipt[10:],
		"a space":                  " " + receipt,
		"a NUL":                    receipt + "\x00",
		"bytes that are no text":   receipt[:21] + "\xff",
		"a user's id":              "01890a5d-ac96-774b-bcce-b302099a8057",
		"a path":                   "../../" + receipt[:16],
		"a megabyte":               strings.Repeat("A", 1<<20),
	} {
		if _, err := signup.Receipt(text).Hash(); !errors.Is(err, signup.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzReceipt(f *testing.F) {
	for _, text := range []string{"", "Az-_0Az-_0Az-_0Az-_0AQ", "Az-_0Az-_0Az-_0Az-_0AR", "Az-_0Az-_0\nAz-_0Az-_0AQ"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		hash, err := signup.Receipt(text).Hash()
		if err != nil {
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || hash != sha256.Sum256(raw) || base64.RawURLEncoding.EncodeToString(raw) != text {
			t.Errorf("%q is a receipt with the hash %x", text, hash)
		}
	})
}

func TestAReceiptThatWasNeverGivenIsNotFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		s, _ := newService(t, databaseURL)
		accepted := accept(t, s, "anna@example.com")
		for name, receipt := range map[string]signup.Receipt{
			"unknown":         "Az-_0Az-_0Az-_0Az-_0AQ",
			"malformed":       "what?",
			"empty":           "",
			"in another case": signup.Receipt(swapCase(string(accepted.Receipt))),
		} {
			if found, err := s.Status(t.Context(), receipt); !errors.Is(err, signup.ErrNotFound) || found != (signup.Signup{}) {
				t.Errorf("%s: %+v, %v", name, found, err)
			}
		}
	})
}

func swapCase(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, text)
}

func TestNothingStoredOpensAReceipt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		s, db := newService(t, databaseURL)
		receipt := accept(t, s, "anna@example.com").Receipt
		raw, err := base64.RawURLEncoding.DecodeString(string(receipt))
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256(raw)
		everything := dump(t, db)
		for name, canary := range map[string]string{
			"the receipt":     string(receipt),
			"its bytes":       string(raw),
			"its hexadecimal": hex.EncodeToString(raw),
		} {
			if strings.Contains(everything, canary) {
				t.Errorf("%s is stored", name)
			}
		}
		if !strings.Contains(everything, hex.EncodeToString(hash[:])) {
			t.Error("its hash is not")
		}
	})
}

// dump is every value of every row, bytes both as they are and in hexadecimal.
func dump(t *testing.T, db *store.DB) string {
	t.Helper()
	var all strings.Builder
	for _, table := range []string{"users", "signups", "river_job"} {
		dumpTable(t, db, table, &all)
	}
	return all.String()
}

func dumpTable(t *testing.T, db *store.DB, table string, into *strings.Builder) {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), `SELECT * FROM `+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, pointers := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		pointers[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			if raw, ok := value.([]byte); ok {
				fmt.Fprintf(into, "%x\n", raw)
			}
			fmt.Fprintf(into, "%s\n", value)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestTheStatusTellsWhatItsHolderMayKnow(t *testing.T) {
	t.Parallel()
	told := map[directory.Status]signup.Status{
		directory.Received:     signup.Received,
		directory.Provisioning: signup.Received,
		directory.Invited:      signup.Invited,
		directory.Active:       signup.Active,
		directory.Suspended:    signup.Invited,
		directory.Failed:       signup.Failed,
		directory.Conflict:     signup.Failed,
		directory.Deleting:     signup.Invited,
		directory.Deleted:      signup.Invited,
	}
	if len(told) != len(directory.Statuses()) {
		t.Fatalf("%d statuses, %d in the table", len(directory.Statuses()), len(told))
	}
	storetest.Each(t, func(t *testing.T, databaseURL string) {
		s, db := newService(t, databaseURL)
		first, duplicate := accept(t, s, "anna@example.com").Receipt, accept(t, s, "anna@example.com").Receipt
		for status, want := range told {
			exec(t, db, `UPDATE users SET status = $1, internal_id = 'int-anna'`, string(status))
			exec(t, db, `UPDATE signups SET settled_at = NULL`)
			check(t, s, first, want, "first, of a user who is %s", status)
			check(t, s, duplicate, signup.Received, "duplicate under way, of a user who is %s", status)
			exec(t, db, `UPDATE signups SET settled_at = created_at`)
			check(t, s, first, want, "first, settled, of a user who is %s", status)
			// Whether the owner of the address signs in, or was refused, is
			// not for others to see (user enumeration).
			check(t, s, duplicate, signup.Invited, "duplicate, settled, of a user who is %s", status)
		}
	})
}

func check(t *testing.T, s *signup.Service, receipt signup.Receipt, want signup.Status, format string, args ...any) {
	t.Helper()
	found, err := s.Status(t.Context(), receipt)
	if err != nil || found.Status != want {
		t.Errorf("the receipt of the "+format+" tells %q, %v; not %q", append(args, found.Status, err, want)...)
	}
}
