//go:build !gauntlet

package failpoint

// Enabled says whether this program was built with the tag gauntlet.
const Enabled = false

// Here marks a point. Without the build tag it is nothing: the compiler puts
// an empty function in its caller's place and drops the name.
func Here(string) {}

// Seeded reports whether the bug is to be made: never without the build tag,
// so that the compiler drops what would depend on it.
func Seeded(string) bool { return false }
