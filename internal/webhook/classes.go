package webhook

// Classes returns every class of failed attempts.
func Classes() []Class {
	return []Class{
		ClassRedirect, ClassRefused, ClassGone, ClassThrottled, ClassServer, ClassUnreachable, ClassAddress, ClassTLS, ClassTimeout,
		ClassBroken, ClassSecret, ClassDisabled,
	}
}
