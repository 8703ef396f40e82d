package program

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"time"
)

// reloadEvery is how often the files of secrets are read.
const reloadEvery = 2 * time.Second

// reloader reads the files of secrets again and puts what has changed into
// use, without a restart:
//
//	as it is in use        nothing
//	changed                waits until the next look finds the same
//	the same twice, good   in use from now on
//	the same twice, bad    refused once, and what was in use stays so
//	asked for by a signal  in use or refused at once
//
// It compares contents, because a time stamp can stay the same when a volume's
// link moves on to another file.
type reloader struct {
	live   *liveSecrets
	all    []replaceable
	files  []*secretFile
	every  time.Duration
	signal <-chan os.Signal
	log    *slog.Logger
	worn   bool // whether the log has that the ring's newest key is
}

// newReloader returns a reloader for those of the secrets that come from files.
// signal, if it is not nil, asks for a look at once.
func newReloader(config Config, live *liveSecrets, signal <-chan os.Signal, log *slog.Logger) *reloader {
	r := &reloader{live: live, all: live.replaceable(&config), every: reloadEvery, signal: signal, log: log}
	for _, s := range r.all {
		// A pipe, as of a shell's <(…), has been read once and for all.
		if s.secret.file != "" && checkRegular(s.secret.file) == nil {
			inUse := contentOf(s.secret.value, nil)
			r.files = append(r.files, &secretFile{replaceable: s, inUse: inUse, seen: inUse})
		}
	}
	return r
}

// secretFile is a file with a secret and what was found there.
type secretFile struct {
	replaceable
	inUse   content // is in use
	seen    content // was found by the last look
	refused content // was found to be bad
}

// content stands for what a file holds, or for why that cannot be read.
type content struct {
	digest [sha256.Size]byte
	err    string
}

func contentOf(text string, err error) content {
	if err != nil {
		return content{err: err.Error()}
	}
	return content{digest: sha256.Sum256([]byte(text))}
}

// Run says what is in use, and looks after the files until ctx ends.
func (r *reloader) Run(ctx context.Context) {
	r.announce(ctx)
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-r.signal:
			asked = true
			if len(r.files) == 0 {
				r.log.WarnContext(ctx, "no secret comes from a file: there is nothing to read again")
			}
		}
		for _, file := range r.files {
			r.look(ctx, file, asked)
		}
		r.warnOfWear(ctx, r.live.keys.Worn())
	}
}

// announce names what is in use, so that a rotation can be followed from one
// replica to the next.
func (r *reloader) announce(ctx context.Context) {
	watched := make(map[string]bool)
	for _, file := range r.files {
		watched[file.setting] = true
	}
	for _, s := range r.all {
		attrs := []slog.Attr{slog.String("setting", s.setting), slog.Bool("read_again", watched[s.setting])}
		if s.ids != nil {
			attrs = append(attrs, slog.Any("ids", s.ids()))
		}
		r.log.LogAttrs(ctx, slog.LevelInfo, "a secret is in use", attrs...)
	}
}

// look reads a file and puts what it holds into use if that is new and good.
func (r *reloader) look(ctx context.Context, file *secretFile, asked bool) {
	text, err := readAgain(file.secret.file)
	found := contentOf(text, err)
	// A file that is being written has another content a moment later. Half a
	// ring can be a good ring: one that lacks the keys of logins under way.
	settled := asked || found == file.seen
	file.seen = found
	log := r.log.With(slog.String("setting", file.setting), slog.String("file", file.secret.file))
	switch {
	case !settled:
		return
	case found == file.inUse:
		if asked || file.refused != (content{}) {
			log.InfoContext(ctx, "a secret's file holds what is in use")
		}
		file.refused = content{}
		return
	case found == file.refused && !asked:
		return // the log has it already
	}
	if err == nil {
		err = file.take(text)
	}
	if err != nil {
		file.refused = found
		log.ErrorContext(ctx, "a secret was not replaced, and what was in use stays so", slog.Any("because", err))
		return
	}
	file.inUse, file.refused = found, content{}
	if file.ids != nil {
		log = log.With(slog.Any("ids", file.ids()))
	}
	log.InfoContext(ctx, "a secret was replaced")
}

// warnOfWear says once that the ring needs a new key.
func (r *reloader) warnOfWear(ctx context.Context, worn bool) {
	if worn && !r.worn {
		r.log.WarnContext(ctx, "a key has sealed enough: put a new one in front",
			slog.String("setting", "PORTICO_KEYS"), slog.Any("ids", r.live.keys.IDs()))
	}
	r.worn = worn
}

var errNotRegular = errors.New("is not a regular file")

// checkRegular reports why the file cannot be read over and over. Opening a
// pipe would wait for somebody to write to it.
func checkRegular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "read", Path: path, Err: errNotRegular}
	}
	return err
}

func readAgain(path string) (string, error) {
	if err := checkRegular(path); err != nil {
		return "", err
	}
	return readSecret(path)
}
