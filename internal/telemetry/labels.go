package telemetry

import "github.com/prometheus/client_golang/prometheus"

// other is what a label says that has none of the values it may have.
const other = "other"

// counters are the counters of one label whose values are known beforehand.
// Each is found without a lock or a hash over labels.
type counters struct {
	of   map[string]prometheus.Counter
	rest prometheus.Counter
}

// newCounters makes a counter for each of the values, and one for all others.
func newCounters(vec *prometheus.CounterVec, values []string, before ...string) counters {
	c := counters{of: make(map[string]prometheus.Counter, len(values))}
	labels := func(value string) []string { return append(append(make([]string, 0, len(before)+1), before...), value) }
	for _, value := range values {
		c.of[value] = vec.WithLabelValues(labels(value)...)
	}
	c.rest = vec.WithLabelValues(labels(other)...)
	return c
}

// add counts one under the value.
func (c counters) add(value string) { c.get(value).Inc() }

func (c counters) get(value string) prometheus.Counter {
	if counter, ok := c.of[value]; ok {
		return counter
	}
	return c.rest
}

// among returns the value if it is one of those that are known.
func among(values map[string]bool, value string) string {
	if values[value] {
		return value
	}
	return other
}

func setOf(values []string) map[string]bool {
	set := make(map[string]bool, len(values))
	for _, value := range values {
		set[value] = true
	}
	return set
}
