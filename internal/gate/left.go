package gate

// Left returns how many calls of the first lane could pass at once as the
// budget stands, and how many a minute there may be; both are zero without a
// budget. Whether the gate is open is another question.
func (g *Gate) Left(s State) (left, perMinute int) {
	b := budgetOf(g.PerMinute)
	if !b.limited() {
		return 0, 0
	}
	debt := max(0, s.EmptyAt.Sub(g.now()))
	if debt > b.depth {
		return 0, g.PerMinute
	}
	return int((b.depth-debt)/b.step) + 1, g.PerMinute
}

// Reasons returns every reason for which the gate is closed.
func Reasons() []Reason { return []Reason{Failing, RateLimited, Unauthorized, Misconfigured} }
