package program

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far long work is: by a bar on a terminal, and by a line
// every so often elsewhere, so that a log stays readable.
type progress struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	name  string
	total int64 // 0 if nobody knows
	bar   *progressbar.ProgressBar
	start time.Time
	from  int64 // where the phase was begun
	last  int64
	said  time.Time
	first bool
}

// sayEvery is the time between two lines.
const sayEvery = 3 * time.Second

func newProgress(out io.Writer) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, terminal: ok && term.IsTerminal(int(file.Fd())), now: time.Now}
}

// phase begins one kind of work. A total of 0 is not known.
func (p *progress) phase(name string, total int64) {
	p.end()
	p.name, p.total, p.start, p.from, p.last, p.first = name, total, p.now(), 0, 0, true
	p.said = p.start
	if !p.terminal {
		return
	}
	bound := total
	if bound == 0 {
		bound = -1 // a spinner
	}
	p.bar = progressbar.NewOptions64(bound,
		progressbar.OptionSetWriter(p.out),
		progressbar.OptionSetDescription(name),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionFullWidth(),
	)
}

// at says how much is done.
func (p *progress) at(done int64) {
	if p.first {
		p.first, p.from = false, done // what an earlier run did says nothing of the rate
		if p.total == 0 {
			p.from = 0
		}
	}
	p.last = done
	if p.terminal {
		_ = p.bar.Set64(done) // what cannot be drawn is not worth ending for
		return
	}
	if now := p.now(); now.Sub(p.said) >= sayEvery {
		p.said = now
		_, _ = fmt.Fprintln(p.out, p.line(now))
	}
}

// line is "making users: 12000 of 100000, 950/s, 1m33s left".
func (p *progress) line(now time.Time) string {
	text := fmt.Sprintf("%s: %d", p.name, p.last)
	if p.total > 0 {
		text += fmt.Sprintf(" of %d", p.total)
	}
	rate := float64(p.last-p.from) / max(now.Sub(p.start).Seconds(), 1e-3)
	text += fmt.Sprintf(", %.0f/s", rate)
	if p.total > 0 && rate > 0 {
		left := time.Duration(float64(p.total-p.last) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return text
}

// end ends the phase, and says what it came to.
func (p *progress) end() {
	if p.name == "" {
		return
	}
	if p.terminal {
		_ = p.bar.Exit()
		_, _ = fmt.Fprintln(p.out)
	} else {
		_, _ = fmt.Fprintf(p.out, "%s: %d in %s\n", p.name, p.last, p.now().Sub(p.start).Round(10*time.Millisecond))
	}
	p.name, p.bar = "", nil
}
