package server

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"moat/internal/gateway"
	"moat/internal/wire"
)

// MetricsPath is where monitoring and `moat metrics` ask.
const MetricsPath = "/_moat/metrics"

// readMetrics is what a caller must be allowed who reads metrics: in CloudWatch's words, where
// API Gateway's are read on AWS.
const readMetrics = "cloudwatch:GetMetricData"

// MetricsAnswer is what [MetricsPath] answers as JSON.
type MetricsAnswer struct {
	Version string       `json:"version"`
	Since   time.Time    `json:"since"` // from when on is counted
	APIs    []APIMetrics `json:"apis"`
}

// APIMetrics are the counts of a stage, or of one of its methods, by the names that API Gateway's
// metrics have in CloudWatch.
type APIMetrics struct {
	Region   string `json:"region"`
	API      string `json:"apiId"`
	Name     string `json:"apiName"`
	Stage    string `json:"stage"`
	Method   string `json:"method,omitempty"`
	Resource string `json:"resource,omitempty"`

	Count            uint64  `json:"Count"`
	Error4XX         uint64  `json:"4XXError"`
	Error5XX         uint64  `json:"5XXError"`
	CacheHits        uint64  `json:"CacheHitCount"`
	CacheMisses      uint64  `json:"CacheMissCount"`
	LatencyMS        float64 `json:"Latency"` // mean, in milliseconds
	IntegrationMS    float64 `json:"IntegrationLatency"`
	IntegrationCount uint64  `json:"integrationCount"`
}

// serveMetrics serves GET /_moat/metrics: to who has the scraper's token, to a signed caller who may
// cloudwatch:GetMetricData, for the regions where that is so, and in `moat dev` to this machine's user.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	readable := func(string) bool { return true }
	switch scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		answerMessage(w, http.StatusMethodNotAllowed, "GET asks")
		return
	case strings.EqualFold(scheme, "Bearer"):
		if !s.scraper(token) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			answerMessage(w, http.StatusUnauthorized, "this is not the token of --metrics-token-file")
			return
		}
	case s.cfg.Dev && r.Header["Authorization"] == nil:
		if why := foreign(r); why != "" {
			answerMessage(w, http.StatusForbidden, why)
			return
		}
	default:
		call, _, ok := s.take(w, r, question{http.MethodGet, "ReadMetrics", 0})
		if !ok || !s.may(w, r, call, wire.Need{Action: readMetrics, Resource: "*"}) {
			return
		}
		readable = s.readable(r.Context(), call, readMetrics)
	}
	all := slices.DeleteFunc(s.parts.gateway.Metrics(), func(m gateway.Metrics) bool { return !readable(m.Region) })
	slices.SortFunc(all, func(a, b gateway.Metrics) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.APIID, b.APIID), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Method, b.Method))
	})
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		answerJSON(w, http.StatusOK, s.metricsAnswer(all))
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(appendMetrics(s.appendProgram(nil), all))
}

// scraper reports whether a token is the one that monitoring was given.
func (s *Server) scraper(token string) bool {
	given, own := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.cfg.MetricsToken))
	return s.cfg.MetricsToken != "" && subtle.ConstantTimeCompare(given[:], own[:]) == 1
}

func (s *Server) metricsAnswer(all []gateway.Metrics) MetricsAnswer {
	out := MetricsAnswer{Version: s.cfg.Version, Since: s.since, APIs: []APIMetrics{}}
	mean := func(sum time.Duration, n uint64) float64 {
		return float64(sum) / float64(time.Millisecond) / float64(max(n, 1))
	}
	for _, m := range all {
		out.APIs = append(out.APIs, APIMetrics{
			Region: m.Region, API: m.APIID, Name: m.APIName, Stage: m.Stage, Method: m.Method, Resource: m.Resource,
			Count: m.Count, Error4XX: m.Error4XX, Error5XX: m.Error5XX, CacheHits: m.CacheHitCount, CacheMisses: m.CacheMissCount,
			LatencyMS: mean(m.Latency, m.LatencyCount), IntegrationMS: mean(m.IntegrationLatency, m.IntegrationsCount), IntegrationCount: m.IntegrationsCount,
		})
	}
	return out
}

// appendProgram writes what is known of the program as a whole, in Prometheus' text format.
func (s *Server) appendProgram(b []byte) []byte {
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(memory)
	_, undelivered := s.parts.userpool.Deliveries()
	family := func(name, kind, help string, value uint64) {
		b = appendFamily(b, name, kind, help)
		b = append(strconv.AppendUint(append(append(b, name...), ' '), value, 10), '\n')
	}
	b = appendFamily(b, "moat_info", "gauge", "The version that runs.")
	b = append(appendLabels(append(b, "moat_info"...), "version", s.cfg.Version), " 1\n"...)
	family("moat_start_time_seconds", "gauge", "When the program began to count, in seconds since 1970.", uint64(s.since.Unix()))
	family("moat_requests_total", "counter", "Requests of every kind.", uint64(s.asked.Load()))
	family("moat_goroutines", "gauge", "Goroutines.", uint64(runtime.NumGoroutine()))
	family("moat_memory_bytes", "gauge", "Memory that the program has of the system.", memory[0].Value.Uint64()-memory[1].Value.Uint64())
	family("moat_messages_undelivered_total", "counter", "E-mails and text messages that reached nobody.", uint64(undelivered))
	return b
}

// appendMetrics writes the gateway's counts in Prometheus' text format, version 0.0.4. What is counted by
// method has names of its own, since it is in the stage's counts as well.
func appendMetrics(b []byte, all []gateway.Metrics) []byte {
	for _, of := range []struct {
		prefix, what string
		method       bool
	}{{"moat_api_", "a stage", false}, {"moat_api_method_", "a method with detailed metrics", true}} {
		some := slices.DeleteFunc(slices.Clone(all), func(m gateway.Metrics) bool { return (m.Method != "") != of.method })
		if len(some) == 0 {
			continue
		}
		for _, f := range []struct {
			name, help string
			value      func(*gateway.Metrics) uint64
		}{
			{"requests_total", "Requests of ", func(m *gateway.Metrics) uint64 { return m.Count }},
			{"4xx_errors_total", "Requests that were the client's fault, of ", func(m *gateway.Metrics) uint64 { return m.Error4XX }},
			{"5xx_errors_total", "Requests that were the server's fault, of ", func(m *gateway.Metrics) uint64 { return m.Error5XX }},
			{"cache_hits_total", "Requests that the response cache answered, of ", func(m *gateway.Metrics) uint64 { return m.CacheHitCount }},
			{"cache_misses_total", "Requests that the response cache could not answer, of ", func(m *gateway.Metrics) uint64 { return m.CacheMissCount }},
		} {
			b = appendFamily(b, of.prefix+f.name, "counter", f.help+of.what+".")
			for i := range some {
				b = appendNames(append(append(b, of.prefix...), f.name...), &some[i])
				b = append(strconv.AppendUint(append(b, ' '), f.value(&some[i]), 10), '\n')
			}
		}
		name := of.prefix + "latency_seconds"
		b = appendFamily(b, name, "histogram", "From the request to the end of its answer, of "+of.what+".")
		for i := range some {
			b = appendHistogram(b, name, &some[i])
		}
		name = of.prefix + "integration_latency_seconds"
		b = appendFamily(b, name, "summary", "What integrations took, of "+of.what+".")
		for i := range some {
			m := &some[i]
			b = appendSum(b, name, m, m.IntegrationLatency, m.IntegrationsCount)
		}
	}
	return b
}

func appendHistogram(b []byte, name string, m *gateway.Metrics) []byte {
	sum := uint64(0)
	bounds := gateway.LatencyBounds()
	for i, n := range m.Latencies {
		sum += n
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i].Seconds(), 'g', -1, 64)
		}
		b = appendNames(append(append(b, name...), "_bucket"...), m, "le", le)
		b = append(strconv.AppendUint(append(b, ' '), sum, 10), '\n')
	}
	return appendSum(b, name, m, m.Latency, sum)
}

func appendSum(b []byte, name string, m *gateway.Metrics, sum time.Duration, n uint64) []byte {
	b = appendNames(append(append(b, name...), "_sum"...), m)
	b = append(strconv.AppendFloat(append(b, ' '), sum.Seconds(), 'g', -1, 64), '\n')
	b = appendNames(append(append(b, name...), "_count"...), m)
	return append(strconv.AppendUint(append(b, ' '), n, 10), '\n')
}

func appendFamily(b []byte, name, kind, help string) []byte {
	return append(b, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"...)
}

func appendNames(b []byte, m *gateway.Metrics, more ...string) []byte {
	names := [...]string{"region", m.Region, "api", m.APIID, "name", m.APIName, "stage", m.Stage, "method", m.Method, "resource", m.Resource}
	if m.Method == "" {
		return appendLabels(b, append(names[:8:8], more...)...)
	}
	return appendLabels(b, append(names[:], more...)...)
}

// appendLabels writes {name="value",...}; a value's backslashes, quotes and line breaks are escaped.
func appendLabels(b []byte, pairs ...string) []byte {
	sep := byte('{')
	for i := 0; i < len(pairs); i += 2 {
		b = append(append(append(b, sep), pairs[i]...), '=', '"')
		value := strings.ToValidUTF8(pairs[i+1], "?")
		for at := range len(value) {
			switch c := value[at]; c {
			case '\\', '"':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			default:
				b = append(b, c)
			}
		}
		b = append(b, '"')
		sep = ','
	}
	return append(b, '}')
}
