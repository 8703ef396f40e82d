package api

import (
	"net/http"
	"slices"

	"github.com/portico-id/portico/api/openapi"
	"github.com/portico-id/portico/internal/admintoken"
)

// adminRoutes is every operation of the operations listener.
func (a *API) adminRoutes() []route {
	all := slices.Concat(a.adminUserRoutes(), a.adminLifeRoutes(), a.adminSessionRoutes(), a.adminAuditRoutes(), a.adminWebhookRoutes())
	for i := range all {
		all[i].guard = byAdminToken
	}
	return all
}

// adminUserRoutes find users, make them and change what is known of them.
func (a *API) adminUserRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: "/admin/users", scope: admintoken.UsersRead, handle: a.listUsers,
			answers: []int{http.StatusOK}, problems: []code{openapi.ProblemCodeInvalidQuery},
		},
		{
			method: http.MethodPost, path: "/admin/users", scope: admintoken.UsersWrite, body: true, handle: a.createUser,
			answers: []int{http.StatusCreated}, problems: []code{openapi.ProblemCodeEmailTaken, openapi.ProblemCodeExternalIDTaken},
		},
		{
			method: http.MethodGet, path: "/admin/users/{user_id}", scope: admintoken.UsersRead, handle: a.getUser,
			answers: []int{http.StatusOK}, problems: []code{openapi.ProblemCodeUserNotFound},
		},
		{
			method: http.MethodPatch, path: "/admin/users/{user_id}", scope: admintoken.UsersWrite, body: true, handle: a.updateUser,
			answers: []int{http.StatusOK}, problems: onVersion(openapi.ProblemCodeEmailTaken),
		},
		{
			method: http.MethodDelete, path: "/admin/users/{user_id}", scope: admintoken.UsersWrite, handle: a.deleteUser,
			answers: []int{http.StatusAccepted}, problems: onVersion(),
		},
	}
}

// adminLifeRoutes move users on.
func (a *API) adminLifeRoutes() []route {
	return []route{
		{
			method: http.MethodPost, path: "/admin/users/{user_id}/suspend", scope: admintoken.UsersWrite, handle: a.suspendUser,
			answers: []int{http.StatusOK}, problems: onVersion(),
		},
		{
			method: http.MethodPost, path: "/admin/users/{user_id}/restore", scope: admintoken.UsersWrite, handle: a.restoreUser,
			answers: []int{http.StatusOK}, problems: onVersion(),
		},
		{
			method: http.MethodPost, path: "/admin/users/{user_id}/resend", scope: admintoken.UsersWrite, handle: a.resendToUser,
			answers: []int{http.StatusAccepted}, problems: []code{openapi.ProblemCodeUserNotFound, openapi.ProblemCodeStatusConflict},
		},
		{
			method: http.MethodPost, path: "/admin/users/{user_id}/retry", scope: admintoken.UsersWrite, handle: a.retryUser,
			answers: []int{http.StatusAccepted}, problems: []code{openapi.ProblemCodeUserNotFound, openapi.ProblemCodeStatusConflict},
		},
		{
			method: http.MethodPost, path: "/admin/users/{user_id}/resolve", scope: admintoken.UsersWrite, body: true, handle: a.resolveUser,
			answers: []int{http.StatusOK}, problems: onVersion(openapi.ProblemCodeInternalIDTaken),
		},
	}
}

// onVersion are the problems of what is done to a user at a version, and more.
func onVersion(more ...code) []code {
	return append(
		more, openapi.ProblemCodeUserNotFound, openapi.ProblemCodeStatusConflict,
		openapi.ProblemCodePreconditionRequired, openapi.ProblemCodePreconditionFailed,
	)
}

// adminSessionRoutes are about where a user is signed in.
func (a *API) adminSessionRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: "/admin/users/{user_id}/sessions", scope: admintoken.UsersRead, handle: a.listSessionsOf,
			answers: []int{http.StatusOK}, problems: []code{openapi.ProblemCodeUserNotFound},
		},
		{
			method: http.MethodDelete, path: "/admin/users/{user_id}/sessions", scope: admintoken.SessionsWrite, handle: a.endSessionsOf,
			answers: []int{http.StatusNoContent}, problems: []code{openapi.ProblemCodeUserNotFound},
		},
		{
			method: http.MethodDelete, path: "/admin/users/{user_id}/sessions/{session_id}", scope: admintoken.SessionsWrite, handle: a.endSessionOf,
			answers: []int{http.StatusNoContent}, problems: []code{openapi.ProblemCodeUserNotFound, openapi.ProblemCodeSessionNotFound},
		},
	}
}

// adminAuditRoutes say who did what.
func (a *API) adminAuditRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: "/admin/audit", scope: admintoken.AuditRead, handle: a.listAudit,
			answers: []int{http.StatusOK}, problems: []code{openapi.ProblemCodeInvalidQuery},
		},
	}
}
