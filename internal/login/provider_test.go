package login_test

import "github.com/portico-id/portico/internal/login/hostile"

const (
	clientID     = hostile.ClientID
	clientSecret = hostile.ClientSecret
	redirectURI  = hostile.RedirectURI
)

type object = hostile.Object
