package session

// NewCode is a fresh code.
func NewCode() Code { return newCode() }
