package reconcile

import (
	"fmt"
	"strings"
	"time"

	"github.com/portico-id/portico/internal/beyondidentity"
	"github.com/portico-id/portico/internal/directory"
)

// The states that the provider gives its users.
const (
	suspendedThere = "SUSPENDED"
	deletedThere   = "DELETED"
)

// there is what the provider has just said of a user of ours.
type there struct {
	byInternal *beyondidentity.User // who has their internal_id; nil for nobody
	byExternal *beyondidentity.User // who has their external_id; nil for nobody, or not exactly one
	several    bool                 // more than one has their external_id
	unknown    bool                 // it cannot be asked about their external_id
	// sharing is who else of ours there has the same address.
	sharing directory.InternalID
}

// live is the user, unless there is only a tombstone.
func live(user beyondidentity.User) *beyondidentity.User {
	if strings.EqualFold(user.Status, deletedThere) {
		return nil
	}
	return &user
}

// judge returns the differences between a user as they are here and there.
// Both were looked at just now, and here did not change meanwhile.
func judge(h Here, t there, now time.Time, stuckAfter time.Duration) []Finding {
	var found []Finding
	switch h.Status {
	case directory.Invited, directory.Active, directory.Suspended, directory.Deleting:
		if h.InternalID != "" {
			found = judgeSettled(h, t)
		}
	case directory.Failed, directory.Provisioning:
		found = judgeUnsettled(h, t, now)
	case directory.Deleted:
		found = judgeDeleted(h, t)
	case directory.Received, directory.Conflict:
		if t.several {
			found = []Finding{several(h)}
		}
	}
	if len(found) > 0 && h.InternalID == "" {
		return found // what is the matter with them is why they wait
	}
	return append(found, judgeStuck(h, now.Add(-stuckAfter))...)
}

// judgeSettled judges a user who ought to be there.
func judgeSettled(h Here, t there) []Finding {
	a, b := t.byInternal, t.byExternal
	switch {
	case t.several, a != nil && b != nil && a.ExternalID == h.ExternalID && b.InternalID != a.InternalID:
		return []Finding{several(h)}
	case a == nil && b != nil:
		return []Finding{differ(h, IDsDiffer, *b, "internal_id="+string(h.InternalID),
			"internal_id="+string(b.InternalID), byOperator)}
	case a == nil && t.unknown, a == nil && h.Status == directory.Deleting:
		return nil // who is to be deleted there may be gone already
	case a == nil:
		return []Finding{{
			Class: MissingThere, UserID: h.ID, ExternalID: h.ExternalID, InternalID: h.InternalID,
			Here: "status=" + string(h.Status), There: "nobody", Repair: createAgain(h),
		}}
	case a.ExternalID != h.ExternalID:
		return []Finding{differ(h, IDsDiffer, *a, "external_id="+string(h.ExternalID),
			"external_id="+string(a.ExternalID), byOperator)}
	case b == nil && !t.unknown:
		return nil // the two answers contradict each other: neither is believed
	}
	return judgeData(h, t)
}

// judgeData judges a user whose ids are the same on both sides.
func judgeData(h Here, t there) (found []Finding) {
	a := *t.byInternal
	if strings.EqualFold(a.Status, suspendedThere) && (h.Status == directory.Invited || h.Status == directory.Active) {
		found = append(found, differ(h, StatusDiffers, a, "status="+string(h.Status), "status="+a.Status,
			"suspended here (--repair status_differs)"))
	}
	if h.Status == directory.Deleting || h.Sync == directory.SyncPending {
		return found // what differs is to be, and is on its way
	}
	var ours, theirs []string
	if !SameAddress(h.Email, a.Email) {
		ours, theirs = append(ours, "email="+h.Email.String()), append(theirs, "email="+a.Email)
		if t.sharing != "" {
			found = append(found, differ(h, Duplicate, a, "email="+h.Email.String(),
				fmt.Sprintf("email=%s, which internal_id=%s has too", a.Email, t.sharing), byOperator))
		}
	}
	if !sameName(h, a) {
		ours = append(ours, "display_name="+beyondidentity.ShownName(h.DisplayName, h.Email.String()))
		theirs = append(theirs, "display_name="+a.DisplayName)
	}
	if len(ours) > 0 {
		found = append([]Finding{differ(h, AttributesDiffer, a, strings.Join(ours, " "), strings.Join(theirs, " "),
			"ours is sent (--repair attributes_differ)")}, found...)
	}
	return found
}

// judgeUnsettled judges a user of whom we think that they are not there, or do
// not know.
func judgeUnsettled(h Here, t there, now time.Time) []Finding {
	underWay := h.Status == directory.Provisioning && now.Before(later(h.AmbiguousUntil, h.UpdatedAt).Add(settleFor))
	switch {
	case t.several:
		return []Finding{several(h)}
	case t.byExternal == nil, underWay:
		return nil
	}
	return []Finding{differ(h, StatusDiffers, *t.byExternal, "status="+string(h.Status),
		"status="+t.byExternal.Status, "taken over (--repair status_differs)")}
}

// judgeDeleted judges a tombstone. Whom the provider had before us it keeps.
func judgeDeleted(h Here, t there) []Finding {
	switch {
	case !h.MadeThere:
		return nil
	case t.several:
		return []Finding{several(h)}
	case t.byExternal == nil:
		return nil
	}
	repair := "deleted there (--repair status_differs)"
	if !madeByUs(h, *t.byExternal) {
		repair = "none: it is not certain that we made them"
	}
	return []Finding{differ(h, StatusDiffers, *t.byExternal, "status=deleted", "status="+t.byExternal.Status, repair)}
}

// madeByUs reports whether it is certain that the user there is the one whom
// we made and deleted. An external_id of our own making is nobody else's. The
// key of an imported user may be given to another by the directory that it
// comes from; but who was there before our tombstone was is ours.
func madeByUs(h Here, user beyondidentity.User) bool {
	if !h.MadeThere || h.Status != directory.Deleted || user.ExternalID != h.ExternalID {
		return false
	}
	return string(h.ExternalID) == string(h.ID) ||
		!user.CreatedAt.IsZero() && !h.DeletedAt.IsZero() && user.CreatedAt.Before(h.DeletedAt) && !user.CreatedAt.Before(h.CreatedAt)
}

// judgeStuck judges who waits for what does not come.
func judgeStuck(h Here, before time.Time) []Finding {
	stuck := func(here string) []Finding {
		return []Finding{{
			Class: Stuck, UserID: h.ID, ExternalID: h.ExternalID, InternalID: h.InternalID,
			Here: here, Repair: "a job again (--repair stuck)",
		}}
	}
	settled := h.Status != directory.Deleting && h.Status != directory.Deleted
	switch {
	case (h.Status == directory.Received || h.Status == directory.Provisioning) && h.Since.Before(before):
		return stuck(fmt.Sprintf("%s since %s", h.Status, stamp(h.Since)))
	case h.Status == directory.Deleting && h.DeleteAfter.Before(before):
		return stuck("deleting, due since " + stamp(h.DeleteAfter))
	case settled && h.InternalID != "" && h.Sync == directory.SyncPending && h.SyncSince.Before(before):
		return stuck("sync pending since " + stamp(h.SyncSince))
	}
	return nil
}

// byOperator is the repair that is no program's to make.
const byOperator = "none: an operator decides"

func createAgain(h Here) string {
	switch {
	case h.Status == directory.Suspended:
		return "created when they are restored (--repair missing_there)"
	case !h.MadeThere:
		return "conflict, for an operator (--repair missing_there)"
	default:
		return "created again, which mails them (--repair missing_there)"
	}
}

func several(h Here) Finding {
	return Finding{
		Class: Duplicate, UserID: h.ID, ExternalID: h.ExternalID, InternalID: h.InternalID,
		Here: "status=" + string(h.Status), There: "several users carry the external_id", Repair: byOperator,
	}
}

func differ(h Here, class Class, t beyondidentity.User, ours, theirs, repair string) Finding {
	return Finding{
		Class: class, UserID: h.ID, ExternalID: h.ExternalID, InternalID: t.InternalID,
		Here: ours, There: theirs, Repair: repair,
	}
}

// SameAddress reports whether theirs is another spelling of ours at most: a
// provider may keep addresses in lower case.
func SameAddress(ours directory.Email, theirs string) bool {
	if strings.EqualFold(ours.String(), theirs) {
		return true
	}
	canonical := Canonical(theirs)
	return canonical == ours.Canonical() || canonical == Canonical(ours.String())
}

// Canonical is the form under which two spellings of one address are equal;
// what is no address to us is compared as it is, without regard to case.
func Canonical(address string) string {
	email, err := directory.ParseEmail(address)
	if err != nil {
		return strings.ToLower(address)
	}
	return email.Canonical()
}

// sameName reports whether the display name there is ours. Who has none here
// was created with their address in its place; whom the provider had before us
// keeps theirs.
func sameName(h Here, t beyondidentity.User) bool {
	if strings.TrimSpace(h.DisplayName) == "" {
		return !h.MadeThere || t.DisplayName == "" || SameAddress(h.Email, t.DisplayName)
	}
	return h.DisplayName == t.DisplayName
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
