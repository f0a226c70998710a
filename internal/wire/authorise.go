package wire

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"moat/internal/pure/policy"
)

// authorise asks the authority about every resource of the call; all must be
// allowed. Operations without a signature bring their own proof and are decided
// by their service.
func (x *exchange) authorise() error {
	if x.op.Unsigned {
		return nil
	}
	action := actionOf(x.op)
	if needsNoPermission(action) {
		x.record.Grounds = action + " needs no permission"
		return nil
	}
	resources, brought := x.resources()
	keys := x.requestKeys()
	for k, v := range brought {
		keys.Set(k, v...)
	}
	for _, resource := range resources {
		d, err := x.p.cfg.Authority.Authorize(x.ctx, x.call.Caller, action, resource, x.accountOf(resource), keys)
		if err != nil {
			return fmt.Errorf("authorise %s on %s: %w", action, resource, err)
		}
		x.record.Resource, x.record.Grounds = resource, grounds(d)
		x.call.note(Check{Action: action, Resource: resource, Decision: d})
		if !d.Allowed {
			return accessDenied(x.protocol, denial(x.call.Caller, action, resource, d))
		}
	}
	return nil
}

// resources never returns none: an empty list would allow what nobody allowed.
func (x *exchange) resources() ([]string, policy.Context) {
	if x.end.api.Resources != nil {
		arns, keys := x.end.api.Resources(x.call, x.op.Name, x.in)
		if len(arns) > 0 {
			return arns, keys
		}
		return []string{"*"}, keys
	}
	if x.end.api.Action == "apigateway" {
		return []string{x.p.pathARN(x.op, x.in, x.call)}, nil
	}
	return []string{"*"}, nil
}

func (x *exchange) requestKeys() policy.Context { return RequestKeys(x.call) }

// RequestKeys are the global condition keys that a call itself has. A service
// that decides by itself adds its own to them; the result is the caller's.
func RequestKeys(c *Call) policy.Context {
	keys := policy.Context{}
	keys.Set("aws:CurrentTime", c.Time.UTC().Format(time.RFC3339))
	keys.Set("aws:EpochTime", strconv.FormatInt(c.Time.Unix(), 10))
	keys.Set("aws:SecureTransport", strconv.FormatBool(c.Secure))
	keys.Set("aws:RequestedRegion", c.Region)
	via := c.Via
	if c.ByServiceRole {
		via = ""
	}
	keys.Set("aws:ViaAWSService", strconv.FormatBool(via != ""))
	if c.SourceIP != "" {
		keys.Set("aws:SourceIp", c.SourceIP)
	}
	if c.UserAgent != "" {
		keys.Set("aws:UserAgent", c.UserAgent)
	}
	if via != "" {
		keys.Set("aws:CalledVia", via)
		keys.Set("aws:CalledViaFirst", via)
		keys.Set("aws:CalledViaLast", via)
	}
	return keys
}

// accountOf returns the account in an ARN, ours when it has none.
func (x *exchange) accountOf(resource string) string {
	parts := strings.SplitN(resource, ":", 6)
	if len(parts) == 6 && parts[0] == "arn" && parts[4] != "" && parts[4] != "*" {
		return parts[4]
	}
	return x.p.cfg.Account
}

// actionOf names the IAM action of an operation.
func actionOf(op *operation) string {
	if op.Action != "" {
		return op.Action
	}
	return op.end.api.Action + ":" + op.Name
}

// needsNoPermission tells of the two operations that AWS lets every principal
// call, even one that is denied them (STS API reference).
func needsNoPermission(action string) bool {
	return action == "sts:GetCallerIdentity" || action == "sts:GetSessionToken"
}

// pathARN is API Gateway's resource: the path of the call, with its labels.
func (p *Pipeline) pathARN(op *operation, in any, c *Call) string {
	v := reflect.ValueOf(in).Elem()
	pl := p.planner.of(v.Type())
	path, _, _ := strings.Cut(op.Path, "?")
	var labels []string
	for i := range pl.fields {
		f := &pl.fields[i]
		if f.place != placeLabel {
			continue
		}
		s := ""
		if x, ok := f.value(v); ok {
			s = string(f.appendScalar(nil, x, timeISO8601))
		}
		labels = append(labels, "{"+f.name+"}", url.PathEscape(s), "{"+f.name+"+}", s)
	}
	return "arn:aws:apigateway:" + c.Region + "::" + strings.NewReplacer(labels...).Replace(path)
}

// denial is AWS's sentence for a caller that may not.
func denial(who Caller, action, resource string, d policy.Decision) string {
	s := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s ", nameOf(who), action, resource)
	if d.Explicit {
		return s + "with an explicit deny in " + article(policyKind(d.Kind))
	}
	return s + "because no " + policyKind(d.Kind) + " allows the " + action + " action"
}

func policyKind(kind string) string {
	switch kind {
	case "":
		return "identity-based policy"
	case "permissions boundary":
		return kind
	}
	return strings.TrimSuffix(kind, " policy") + " policy"
}

func article(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// nameOf is how messages and records call a principal.
func nameOf(c Caller) string {
	for _, s := range []string{c.ARN, c.Service, c.Federated} {
		if s != "" {
			return s
		}
	}
	return "anonymous"
}

func grounds(d policy.Decision) string {
	s := d.Reason
	if len(d.Missing) > 0 {
		s += " (the request lacks " + strings.Join(d.Missing, ", ") + ")"
	}
	return s
}
