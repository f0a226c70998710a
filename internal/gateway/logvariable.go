package gateway

import (
	"crypto/tls"
	"strconv"
	"strings"
	"time"
)

// endpoint is what is known of a route's integration beside its answer.
type endpoint struct {
	// status is what the backend said; 0: nothing, or there is no backend.
	status int
	// service is what the call was answered by the service that carries it: that of functions
	// answers 200 whatever the function says.
	service   int
	requestID string
}

// phase is how far authorisation came.
type phase uint8

const (
	unasked phase = iota
	identifying
	deciding
	decided
)

// phases keeps when authorisation entered each phase, where a log asks for it.
type phases struct {
	at    phase
	times [decided + 1]time.Time
}

// enter notes how far authorisation is.
func (x *Exchange) enter(p phase) {
	x.phases.at = p
	if l := x.snap.accessLog; l != nil && l.timed {
		x.phases.times[p] = x.g.cfg.Now()
	}
}

// took is the time from one phase to another, or to the end where that was not reached.
func (p *phases) took(from, to phase) time.Duration {
	if p.at < to {
		to = decided
	}
	return p.times[to].Sub(p.times[from])
}

// appendValue appends the numbers and times that nearly every format has, and needs no string for
// them.
func (o *outcome) appendValue(b []byte, name string) ([]byte, bool) {
	switch name {
	case "status":
		return strconv.AppendInt(b, int64(o.reply.status), 10), true
	case "responseLength":
		return strconv.AppendInt(b, o.written, 10), true
	case "responseLatency":
		return strconv.AppendInt(b, o.latency.Milliseconds(), 10), true
	case "requestTime":
		return o.start.UTC().AppendFormat(b, clfLayout), true
	case "requestTimeEpoch":
		return strconv.AppendInt(b, o.start.UnixMilli(), 10), true
	}
	return b, false
}

// value gives what only is known once a request has been answered (API Gateway Developer
// Guide, "Variables for access logging for API Gateway"), and every other $context variable.
func (o *outcome) value(name string) (string, bool) {
	switch name {
	case "tlsVersion", "cipherSuite":
		return tlsValue(o.TLS, name)
	case "endpointType":
		return o.snap.def.EndpointType, true
	case "customDomain.basePathMatched":
		if o.Via == nil {
			return "", false
		}
		return o.Via.Matched, true
	}
	family, member, _ := strings.Cut(name, ".")
	switch family {
	case "error":
		return o.errorValue(member)
	case "integration":
		return o.integrationValue(member)
	case "integrationLatency":
		return o.integrationValue("latency")
	case "integrationStatus":
		return o.integrationValue("integrationStatus")
	case "integrationErrorMessage":
		return o.integrationValue("error")
	case "awsEndpointRequestId":
		return o.integrationValue("requestId")
	case "authorizer", "authorize", "authenticate":
		if v, ok := o.authorisationValue(family, member); ok {
			return v, true
		}
	case "requestOverride", "responseOverride":
		return o.overrideValue(family, member)
	}
	return o.contextValue(name)
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// tlsValue tells of the client's connection, in the names that AWS's security policies use:
// those of OpenSSL, and RFC 8446's from TLS 1.3 on.
func tlsValue(state *tls.ConnectionState, name string) (string, bool) {
	switch {
	case state == nil:
		return "", false
	case name == "tlsVersion":
		return strings.Replace(tls.VersionName(state.Version), "TLS ", "TLSv", 1), true
	}
	suite := tls.CipherSuiteName(state.CipherSuite)
	keys, cipher, ok := strings.Cut(strings.TrimPrefix(suite, "TLS_"), "_WITH_")
	if !ok {
		return suite, true
	}
	if cipher == "CHACHA20_POLY1305_SHA256" {
		cipher = "CHACHA20_POLY1305"
	}
	cipher = strings.Replace(strings.Replace(cipher, "AES_", "AES", 1), "_CBC_", "_", 1)
	if keys == "RSA" {
		return strings.ReplaceAll(cipher, "_", "-"), true
	}
	return strings.ReplaceAll(keys+"-"+cipher, "_", "-"), true
}

func (o *outcome) errorValue(member string) (string, bool) {
	if o.refusal == nil {
		return "", false
	}
	switch member {
	case "message", "messageString":
		return o.refusal.message(), true
	case "responseType":
		return o.refusal.Kind.info().name, true
	case "validationErrorString":
		return o.refusal.Validation, true
	}
	return "", false
}

// integrationValue tells how the integration went. A mock has nobody behind it.
func (o *outcome) integrationValue(member string) (string, bool) {
	if !o.integrated || o.route.def.Integration.Type == "MOCK" {
		return "", false
	}
	switch member {
	case "latency":
		return milliseconds(o.integration), true
	case "error":
		if o.refusal != nil && o.step == "integrate" {
			return o.refusal.Grounds, true
		}
	case "integrationStatus":
		return strconv.Itoa(o.endpoint.service), o.endpoint.service > 0
	case "status":
		return strconv.Itoa(o.endpoint.status), o.endpoint.status > 0
	case "requestId":
		return o.endpoint.requestID, true
	}
	return "", false
}

// authorisationValue tells how authorisation went: authenticate.* of a signature, authorizer.*
// of an authorizer, authorize.* of the policies that are asked once it is known who calls.
func (o *outcome) authorisationValue(family, member string) (string, bool) {
	if o.route == nil || o.phases.at == unasked || (family == "authorizer") != (o.route.authorizer != nil) && family != "authorize" {
		return "", false
	}
	from, to := identifying, deciding
	if family == "authorize" {
		from, to = deciding, decided
	}
	if o.phases.at < from {
		return "", false
	}
	failed := o.phases.at < to
	function := o.route.def.AuthorizationType == "CUSTOM"
	switch member {
	case "status":
		if failed {
			return strconv.Itoa(o.refusal.status()), true
		}
		return "200", true
	case "error":
		if failed {
			return o.refusal.message(), true
		}
	case "latency":
		return milliseconds(o.phases.took(from, to)), true
	}
	if family != "authorizer" || !function {
		return "", false
	}
	switch member {
	case "integrationStatus":
		if o.custom != nil {
			return "200", true
		}
	case "integrationLatency":
		return milliseconds(o.authorizing), true
	case "requestId":
		return o.requestID, o.consulted
	}
	return "", false
}

// overrideValue is what a mapping template has overridden.
func (o *outcome) overrideValue(family, member string) (string, bool) {
	m := o.mapping
	if m == nil {
		return "", false
	}
	over := m.request
	if family == "responseOverride" {
		over = m.response
	}
	if over == nil {
		return "", false
	}
	place, name, ok := strings.Cut(member, ".")
	if !ok {
		v, found := over.values.Get(place)
		if _, own := v.(*overrides); own || !found {
			return "", false
		}
		return paramText(v)
	}
	values := over.place(place)
	if values == nil {
		return "", false
	}
	v, found := values.Get(name)
	if !found {
		return "", false
	}
	return strings.Join(texts(v), ","), true
}
