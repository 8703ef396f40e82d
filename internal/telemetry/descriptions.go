package telemetry

import "github.com/prometheus/client_golang/prometheus"

// descriptions are the names of what is read.
type descriptions struct {
	up, poolInUse, poolIdle, poolMax, poolWaits, poolWaited *prometheus.Desc

	oldestSignup, oldestUser, users, quarantined, sessions          *prometheus.Desc
	deliveries, oldestDelivery, endpoints, imports, jobs, oldestJob *prometheus.Desc
	paused, budget, budgetLeft, reconciled, differences             *prometheus.Desc
}

func describe() descriptions {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("portico_"+name, help, labels, nil)
	}
	return descriptions{
		up:         d("database_up", "1 if the database has answered for this scrape; without it what it knows is absent."),
		poolInUse:  d("database_connections_in_use", "Connections to the database that are in use."),
		poolIdle:   d("database_connections_idle", "Connections to the database that are not."),
		poolMax:    d("database_connections_max", "Connections to the database that there may be."),
		poolWaits:  d("database_connection_waits_total", "Times that somebody waited for a connection."),
		poolWaited: d("database_connection_wait_seconds_total", "How long they waited, in all."),

		oldestSignup: d("oldest_pending_signup_age_seconds", "Age of the oldest sign-up that is not settled; 0 without one."),
		oldestUser:   d("oldest_pending_user_age_seconds", "Age of the oldest user who waits to be brought to the provider; 0 without one."),
		users:        d("users", "Users in a status that does not last, counted up to 100,000.", "status"),
		quarantined:  d("users_quarantined", "Users with a create at the provider of which nobody knows how it ended."),
		sessions:     d("sessions_open", "Sessions whose fixed end has not come, counted up to 1,000,000, once a minute."),

		deliveries:     d("webhook_deliveries_pending", "Deliveries to webhooks that are neither made nor given up."),
		oldestDelivery: d("webhook_oldest_pending_age_seconds", "For how long the first of them has been due; 0 without one."),
		endpoints:      d("webhook_endpoints", "Webhooks, enabled and disabled.", "state"),
		imports:        d("imports", "Imports by status.", "status"),
		jobs:           d("jobs", "Jobs that are not done, by kind and state, counted up to 100,000.", "kind", "state"),
		oldestJob:      d("job_oldest_available_age_seconds", "For how long the oldest job could have been worked; 0 without one.", "kind"),

		paused:      d("provider_paused", "1 for the reason for which no calls are made to the provider.", "reason"),
		budget:      d("provider_budget_calls_per_minute", "Calls that all replicas may make to the provider in a minute; absent without a budget."),
		budgetLeft:  d("provider_budget_left_calls", "Calls that could be made at once; absent without a budget."),
		reconciled:  d("reconcile_last_run_timestamp_seconds", "When the last comparison of the directories ended; absent before the first."),
		differences: d("reconcile_differences", "Differences that it found, by class.", "class"),
	}
}

func (d descriptions) all() []*prometheus.Desc {
	return []*prometheus.Desc{
		d.up, d.poolInUse, d.poolIdle, d.poolMax, d.poolWaits, d.poolWaited,
		d.oldestSignup, d.oldestUser, d.users, d.quarantined, d.sessions,
		d.deliveries, d.oldestDelivery, d.endpoints, d.imports, d.jobs, d.oldestJob,
		d.paused, d.budget, d.budgetLeft, d.reconciled, d.differences,
	}
}
