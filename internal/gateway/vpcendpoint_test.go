package gateway

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}]}`

func own() *VPCEndpoint { return &VPCEndpoint{ID: "vpce-1a2b", VPC: "vpc-3c4d"} }

// private is the API of the truth table as a private one, with the statement's condition.
func private(condition string) Definition {
	d := courses("http://localhost:1")
	d.EndpointType, d.VPCEndpoints = "PRIVATE", []string{"vpce-1a2b"}
	d.Policy = json.RawMessage(strings.Replace(allowAll, `"execute-api:/*"`, `"execute-api:/*","Condition":`+condition, 1))
	return d
}

// TestVPCEndpoint_ways walks every way to private and other APIs.
func TestVPCEndpoint_ways(t *testing.T) {
	t.Parallel()
	regional := courses("http://localhost:1")
	noPolicy := private(`{}`)
	noPolicy.Policy = nil
	noName := private(`{}`)
	noName.VPCEndpoints = nil
	for name, tt := range map[string]struct {
		d   Definition
		e   *VPCEndpoint
		api string
		ok  bool
	}{
		"private, by the endpoint":                      {private(`{}`), own(), apiID, true},
		"private, by the open network":                  {private(`{}`), nil, apiID, false},
		"regional, by the open network":                 {regional, nil, apiID, true},
		"regional, by the endpoint":                     {regional, own(), apiID, false},
		"private, by its name at the endpoint":          {private(`{}`), own(), apiID + "-vpce-1a2b", true},
		"private, by its name at another endpoint":      {private(`{}`), own(), apiID + "-vpce-9999", false},
		"private, by a name that it does not have":      {noName, own(), apiID + "-vpce-1a2b", false},
		"private, by that name from the open network":   {private(`{}`), nil, apiID + "-vpce-1a2b", false},
		"regional, by such a name":                      {regional, nil, apiID + "-vpce-1a2b", false},
		"private, without a policy":                     {noPolicy, own(), apiID, false},
		"private, without a policy and without a way":   {noPolicy, nil, apiID, false},
		"private, for the endpoint that is named alone": {private(`{"StringEquals":{"aws:SourceVpce":"vpce-1a2b"}}`), own(), apiID, true},
	} {
		k := newKit(t)
		k.publish(tt.d)
		w := httptest.NewRecorder()
		r := request("GET", "/open")
		r.RequestURI = r.URL.RequestURI()
		answerBy(k.Gateway, tt.e, w, r, tt.api, "api", "/open")
		switch {
		case tt.ok && w.Code != 200:
			t.Errorf("%s: %d %s (%s)", name, w.Code, w.Body, k.last().Grounds)
		case !tt.ok:
			check(t, w, want{403, forbidden, "ForbiddenException"})
		}
	}
}

// TestVPCEndpoint_conditions has what resource policies see of a request by an endpoint, and of one
// that came by none; exchanges come one after the other in the same memory.
func TestVPCEndpoint_conditions(t *testing.T) {
	t.Parallel()
	const other = "198.51.100.9:1"
	for condition, ok := range map[string]bool{
		`{"StringEquals":{"aws:SourceVpce":"vpce-1a2b"}}`:                                                true,
		`{"StringEquals":{"aws:SourceVpce":"vpce-9999"}}`:                                                false,
		`{"StringEquals":{"aws:SourceVpc":"vpc-3c4d"}}`:                                                  true,
		`{"StringEquals":{"aws:SourceVpc":"vpc-9999"}}`:                                                  false,
		`{"IpAddress":{"aws:VpcSourceIp":"203.0.113.0/24"}}`:                                             true,
		`{"IpAddress":{"aws:VpcSourceIp":"192.0.2.0/24"}}`:                                               false,
		`{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`:                                                false, // it has none there
		`{"Null":{"aws:SourceIp":"true"},"StringLike":{"aws:SourceVpce":"vpce-*"}}`:                      true,
		`{"StringNotEquals":{"aws:SourceVpce":"vpce-1a2b"}}`:                                             false,
		`{"StringEquals":{"aws:SourceVpce":"vpce-1a2b","aws:SourceVpc":"vpc-9999"}}`:                     false,
		`{"Null":{"execute-api:viaDomainArn":"false"}}`:                                                  false,
		`{"StringEquals":{"aws:ResourceAccount":"000000000000"},"Bool":{"aws:SecureTransport":"false"}}`: true,
	} {
		k := newKit(t)
		k.publish(private(condition))
		open := courses("http://localhost:1")
		open.APIID, open.Policy = "zzzzzzzzzz", json.RawMessage(strings.Replace(allowAll, `"execute-api:/*"`,
			`"execute-api:/*","Condition":{"Null":{"aws:SourceVpce":"true","aws:SourceVpc":"true","aws:VpcSourceIp":"true"},"IpAddress":{"aws:SourceIp":"198.51.100.9"}}`, 1))
		k.publish(open)
		for range 2 {
			w, r := httptest.NewRecorder(), request("GET", "/open")
			r.RequestURI = r.URL.RequestURI()
			answerBy(k.Gateway, own(), w, r, apiID, "api", "/open")
			if (w.Code == 200) != ok || !ok && (w.Code != 403 || w.Header()["x-amzn-ErrorType"][0] != "AccessDeniedException") {
				t.Errorf("%s: %d %s", condition, w.Code, w.Body)
			}
			w, r = httptest.NewRecorder(), request("GET", "/open")
			r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), other
			answerOn(k.Gateway, w, r, "zzzzzzzzzz", "api", "/open")
			if w.Code != 200 {
				t.Errorf("by the open network: %d %s", w.Code, w.Body)
			}
		}
	}
}

// An integration is told the endpoint and its VPC, and the host that the client used.
func TestVPCEndpoint_event(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(private(`{}`))
	for api, host := range map[string]string{apiID: apiID + ".execute-api.us-east-1.localhost", apiID + "-vpce-1a2b": apiID + "-vpce-1a2b.execute-api.us-east-1.amazonaws.com"} {
		w, r := httptest.NewRecorder(), request("GET", "/open")
		r.Host, r.RequestURI = host, r.URL.RequestURI()
		answerBy(k.Gateway, own(), w, r, api, "api", "/open")
		var event struct {
			RequestContext struct {
				APIID, DomainName, DomainPrefix string
				Identity                        map[string]any
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &event); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		c := event.RequestContext
		if c.APIID != apiID || c.DomainName != host || c.DomainPrefix != api || c.Identity["vpceId"] != "vpce-1a2b" || c.Identity["vpcId"] != "vpc-3c4d" || c.Identity["sourceIp"] != "203.0.113.7" {
			t.Errorf("got %+v", c)
		}
	}
	d := courses("http://localhost:1")
	d.APIID = "zzzzzzzzzz"
	k.publish(d)
	w, r := httptest.NewRecorder(), request("GET", "/open")
	r.RequestURI = r.URL.RequestURI()
	if answerOn(k.Gateway, w, r, "zzzzzzzzzz", "api", "/open"); strings.Contains(w.Body.String(), "vpce") {
		t.Errorf("an endpoint that is not there: %s", w.Body)
	}
}
