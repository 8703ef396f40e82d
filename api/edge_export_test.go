package api

import "net/url"

// Operation is a route as the tests from outside know it.
type Operation struct {
	Method, Path string // the path as the contract writes it
	Body         bool   // takes JSON
	Session      bool   // needs a session
	Recent       bool   // needs one whose login is recent
	Signed       bool   // is opened by a signature alone
}

// Operations is the table of routes, so that what a test asks of every route is
// asked of the next one too.
func Operations() []Operation {
	var operations []Operation
	for _, r := range (&API{}).routes() {
		operations = append(operations, Operation{
			Method: r.method, Path: r.path, Body: r.body,
			Session: r.guard.needsSession(), Recent: r.guard == signedInRecently, Signed: r.guard == bySignedToken,
		})
	}
	return operations
}

// ReturnTarget decides what a wish to return stands for.
func ReturnTarget(fallback string, origins []string, wish string) (string, bool) {
	where, err := url.Parse(fallback)
	if err != nil {
		return "", false
	}
	targets := returnTargets{fallback: where, origins: make(map[string]bool)}
	for _, origin := range origins {
		targets.origins[origin] = true
	}
	return targets.resolve(wish)
}
