package beyondidentity

// Classes returns every class of failed calls.
func Classes() []Class {
	return []Class{
		Unreachable, Ambiguous, Rejected, Unauthorized, Misconfigured, NotFound, Conflict, Duplicate, RateLimited,
	}
}
