package controlplane

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics has a registry of its own, so that two servers in one process count separately.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	grants   prometheus.Counter
	answered atomic.Int64 // all calls
}

// newMetrics returns new metrics. linked returns how many hosts are linked now; authorityEnd is the end of the root
// certificate.
func newMetrics(linked func() int, authorityEnd time.Time) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_requests_total", Help: "Calls answered, by service, operation and error code (empty: success).",
		}, []string{"service", "operation", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sallyport_request_seconds", Help: "Time from a call's arrival to its answer, the trail included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"service", "operation"}),
		grants: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sallyport_grants_total", Help: "Keys pushed to a host that acknowledged them.",
		}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.grants,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sallyport_linked_hosts", Help: "Hosts whose agent is connected now.",
		}, func() float64 { return float64(linked()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sallyport_authority_expiry_timestamp_seconds", Help: "When the root certificate ends, in Unix time.",
		}, func() float64 { return float64(authorityEnd.Unix()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Observe implements awsapi.Observer.
func (m *metrics) Observe(service, operation, code string, took time.Duration) {
	m.answered.Add(1)
	m.requests.WithLabelValues(service, operation, code).Inc()
	m.seconds.WithLabelValues(service, operation).Observe(took.Seconds())
	if operation == "SendSSHPublicKey" && code == "" {
		m.grants.Inc()
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
