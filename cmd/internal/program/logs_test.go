package program

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-id/portico/internal/store/storetest"
)

// A log that is in local time cannot be laid beside another machine's, and one
// that is in several places is read in the wrong one.
func TestTheLogIsInUTCOnStandardOutputWhereverItRuns(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: starts a process")
	}
	begun := time.Now().Add(-time.Second)
	w := newKindWorld(t, storetest.SQLite(t))
	p := w.spawn("TZ=" + nineHoursAhead(t))
	b := w.browser()
	b.await(b.signUp("ada@example.com"), "invited")
	b.do(http.MethodGet, w.public+"/me", "", "X-CSRF: 1").want(t, http.StatusUnauthorized, nil)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	lines := strings.Split(strings.TrimSuffix(p.log.String(), "\n"), "\n")

	t.Run("ASVS-16.2.3 it is on standard output, and standard error is empty", func(t *testing.T) {
		t.Parallel()
		for _, said := range []string{"starting", "ready", "request", "user is invited", "stopped"} {
			if !strings.Contains(p.log.String(), `"msg":"`+said+`"`) {
				t.Errorf("nothing says %q", said)
			}
		}
		if p.stderr.Len() > 0 {
			t.Errorf("standard error has %s", &p.stderr)
		}
	})
	t.Run("ASVS-16.2.4 each line is one JSON object, with what happened and how bad it is", func(t *testing.T) {
		t.Parallel()
		for _, line := range lines {
			var says struct{ Time, Level, Msg string }
			if err := json.Unmarshal([]byte(line), &says); err != nil || says.Time == "" || says.Level == "" || says.Msg == "" {
				t.Errorf("%v in %s", err, line)
			}
		}
	})
	t.Run("ASVS-16.2.2 each line has its time in UTC", func(t *testing.T) {
		t.Parallel()
		for _, line := range lines {
			var says struct{ Time string }
			_ = json.Unmarshal([]byte(line), &says) // which the step above has looked at
			// A local time with a Z behind it would be hours away.
			at, err := time.Parse(time.RFC3339Nano, says.Time)
			if err != nil || !strings.HasSuffix(says.Time, "Z") || at.Before(begun) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("%v in %s", err, line)
			}
		}
	})
}

// nineHoursAhead is the file of a time zone, as TZ can name it: no machine
// needs to have a zone that is not its own.
func nineHoursAhead(t *testing.T) string {
	t.Helper()
	var zone bytes.Buffer // RFC 8536 §3: a header, one type of local time, its name
	zone.WriteString("TZif")
	zone.Write(make([]byte, 16))
	for _, count := range []byte{0, 0, 0, 0, 1, 4} { // of them all, there is one type with a name of four bytes
		zone.Write([]byte{0, 0, 0, count})
	}
	zone.Write([]byte{0, 0, 0x7e, 0x90, 0, 0}) // 32,400 s ahead
	zone.WriteString("JST\x00")
	location, err := time.LoadLocationFromTZData("ahead", zone.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, offset := time.Now().In(location).Zone(); offset != 9*60*60 {
		t.Fatalf("the zone is %d s ahead: a log in local time would not show", offset)
	}
	path := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(path, zone.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
