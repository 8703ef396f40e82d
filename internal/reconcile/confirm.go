package reconcile

import (
	"context"
	"log/slog"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
	"github.com/portico-id/portico/internal/signup"
)

// looks is how often a user is looked at who changes meanwhile. Who keeps
// changing is somebody's at work, and the next run's to judge.
const looks = 3

// confirm looks at one suspect.
func (w *worker) confirm(ctx context.Context) (time.Duration, error) {
	if !w.counted {
		of, err := w.Store.CountSuspects(ctx, w.run.ID)
		if err != nil {
			return 0, err
		}
		w.of, w.counted = of, true
	}
	if len(w.suspects) == 0 {
		var err error
		if w.suspects, err = w.Store.NextSuspects(ctx, w.run.ID, suspectsAtOnce); err != nil {
			return 0, err
		}
		if len(w.suspects) == 0 {
			return 0, w.plan(ctx)
		}
	}
	suspect := w.suspects[0]
	found, wait, err := w.examine(ctx, suspect)
	if err != nil || wait > 0 {
		return wait, err
	}
	if err := w.Store.ClearSuspect(ctx, w.run, suspect, found, w.now()); err != nil {
		return 0, err
	}
	w.suspects = w.suspects[1:]
	w.done++
	return 0, nil
}

// examine returns the differences that there are with the suspect, or when to
// look again.
func (w *worker) examine(ctx context.Context, suspect Suspect) (found []Finding, wait time.Duration, err error) {
	switch suspect.Kind {
	case SuspectUser:
		v, wait, err := w.look(ctx, directory.UserID(suspect.Subject))
		return v.found, wait, err
	case SuspectStranger:
		return w.lookAtStranger(ctx, directory.InternalID(suspect.Subject))
	case SuspectSignup:
		found, err = w.lookAtSignup(ctx, signup.ID(suspect.Subject))
	}
	return found, 0, err
}

// view is a user on both sides at one moment, and how these differ.
type view struct {
	here  Here
	there there
	found []Finding
}

// look looks at a user on both sides. What changes here meanwhile is looked at
// again.
func (w *worker) look(ctx context.Context, id directory.UserID) (view, time.Duration, error) {
	before, ok, err := w.Store.LoadHere(ctx, id)
	for range looks {
		if err != nil || !ok {
			return view{}, 0, err
		}
		t, sure, wait, err := w.lookUp(ctx, before)
		if err != nil || wait > 0 || !sure {
			return view{}, wait, err
		}
		after, ok, err := w.Store.LoadHere(ctx, id)
		if err != nil || !ok {
			return view{}, 0, err
		}
		if after.Version == before.Version {
			return view{after, t, judge(after, t, w.now(), w.StuckAfter)}, 0, nil
		}
		before = after
	}
	return view{}, 0, nil
}

// lookUp asks the provider about a user of ours. It is not sure where they
// cannot be asked about.
func (w *worker) lookUp(ctx context.Context, h Here) (t there, sure bool, wait time.Duration, err error) {
	if h.InternalID != "" {
		if t.byInternal, sure, wait, err = w.get(ctx, h.InternalID); !sure {
			return t, false, wait, err
		}
	}
	var found beyondidentity.User
	wait, answer, err := w.ask(ctx, func() (err error) {
		found, err = w.Provider.FindUser(ctx, h.ExternalID)
		return err
	})
	if err != nil || wait > 0 {
		return t, false, wait, err
	}
	switch beyondidentity.ClassOf(answer) {
	case "":
		t.byExternal = live(found)
	case beyondidentity.NotFound:
	case beyondidentity.Duplicate:
		t.several = true
	default:
		t.unknown = true
	}
	if t.byInternal == nil || SameAddress(h.Email, t.byInternal.Email) {
		return t, true, 0, nil
	}
	t.sharing, wait, err = w.sharing(ctx, *t.byInternal)
	return t, err == nil && wait == 0, wait, err
}

// get looks a user up by internal_id.
func (w *worker) get(ctx context.Context, id directory.InternalID) (user *beyondidentity.User, sure bool, wait time.Duration, err error) {
	var found beyondidentity.User
	wait, answer, err := w.ask(ctx, func() (err error) {
		found, err = w.Provider.GetUser(ctx, id)
		return err
	})
	if err != nil || wait > 0 {
		return nil, false, wait, err
	}
	switch beyondidentity.ClassOf(answer) {
	case "":
		return live(found), true, 0, nil
	case beyondidentity.NotFound:
		return nil, true, 0, nil
	default:
		w.Log.WarnContext(ctx, "user cannot be looked at", slog.String("internal_id", string(id)), slog.Any("error", answer))
		return nil, false, 0, nil
	}
}

// sharing returns which other user of ours has the user's address there.
func (w *worker) sharing(ctx context.Context, user beyondidentity.User) (directory.InternalID, time.Duration, error) {
	other, err := w.Store.SharingAddress(ctx, w.run.ID, Canonical(user.Email), user.InternalID)
	if err != nil || other == "" {
		return "", 0, err
	}
	found, _, wait, err := w.get(ctx, other)
	if err != nil || wait > 0 || found == nil || Canonical(found.Email) != Canonical(user.Email) {
		return "", wait, err
	}
	return other, 0, nil
}

// lookAtStranger looks whether the provider still has a user whom nobody here
// knows.
func (w *worker) lookAtStranger(ctx context.Context, id directory.InternalID) ([]Finding, time.Duration, error) {
	user, sure, wait, err := w.get(ctx, id)
	if err != nil || wait > 0 || !sure || user == nil {
		return nil, wait, err
	}
	// They are looked for here last: who is created here was so before there.
	known, err := w.Store.KnownHere(ctx, user.ExternalID, user.InternalID)
	if err != nil || known {
		return nil, 0, err
	}
	return []Finding{{
		Class: UnknownHere, ExternalID: user.ExternalID, InternalID: user.InternalID,
		Here: "nobody", There: "email=" + user.Email + " status=" + user.Status,
		Repair: "none: `portico users import --adopt` takes them over",
	}}, 0, nil
}

// lookAtSignup looks whether a sign-up is still not settled. While its user
// waits themselves, it is them who are stuck.
func (w *worker) lookAtSignup(ctx context.Context, id signup.ID) ([]Finding, error) {
	s, ok, err := w.Store.LoadSignup(ctx, id)
	waits := s.Status == directory.Received || s.Status == directory.Provisioning
	if err != nil || !ok || waits || !s.AcceptedAt.Before(w.now().Add(-w.StuckAfter)) {
		return nil, err
	}
	return []Finding{{
		Class: Stuck, UserID: s.User, Signup: id, Here: "sign-up not settled since " + stamp(s.AcceptedAt),
		Repair: "a job again (--repair stuck)",
	}}, nil
}
