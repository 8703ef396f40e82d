package ratelimit

// Kinds returns the kinds of all buckets.
func Kinds() []string { return []string{Client, Address, Domain, Global, Login, Logout, Email, Admin} }
