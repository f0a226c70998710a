package wire

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

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
	x.nameResource()
	if x.end.api.PlainFirst {
		if err := x.need(&Need{Resource: x.call.Resource}, action, true); err != nil {
			return err
		}
	}
	needs := x.needs()
	x.call.Resource = needs[0].Resource
	for i := range needs {
		if err := x.need(&needs[i], action, false); err != nil {
			return err
		}
	}
	return nil
}

// need asks about one permission. A plain answer counts only where it is a refusal for good.
func (x *exchange) need(n *Need, own string, plain bool) error {
	action := n.Action
	if action == "" {
		action = own
	}
	account := x.accountOf(n.Resource)
	keys := RequestKeys(x.call)
	keys["aws:resourceaccount"] = []string{account}
	for k, v := range n.Keys {
		keys.Set(k, v...)
	}
	d, err := x.decide(action, n.Resource, account, keys)
	if err != nil {
		return fmt.Errorf("authorise %s on %s: %w", action, n.Resource, err)
	}
	if plain && (d.Allowed || x.hinges(d)) {
		return nil
	}
	x.record.Resource, x.record.Grounds = n.Resource, grounds(d)
	x.call.note(Check{Action: action, Resource: n.Resource, PassedTo: first(keys.Get("iam:PassedToService")), Decision: d})
	if !d.Allowed {
		return x.deny(Refused{Caller: x.call.Caller, Action: action, Resource: n.Resource, Decision: d, Keys: keys})
	}
	return nil
}

// hinges tells whether a refusal could be another decision once the condition keys of the operation
// are known: no refusal stands without them, and an Allow waits for one.
func (x *exchange) hinges(d policy.Decision) bool {
	held, allowed, waits := false, false, false
	for _, v := range d.Considered {
		asks := slices.ContainsFunc(v.Missing, x.op.Lists)
		switch {
		case v.Effect == "Deny" && v.Matched && !asks:
			return false
		case v.Effect == "Deny":
			held = held || v.Matched
		default:
			allowed, waits = allowed || v.Matched, waits || !v.Matched && asks
		}
	}
	return waits || held && allowed
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// nameResource says what a call acts on before its service is asked.
func (x *exchange) nameResource() {
	x.call.Resource, x.call.protocol = "*", x.protocol
	if x.end.api.Action == "apigateway" {
		x.call.Resource = x.p.pathARN(x.op, x.in, x.call)
	}
	if name := x.end.api.Resource; name != nil {
		x.call.Resource = name(x.call, x.in)
	}
}

// needs never returns none: an empty list would allow what nobody allowed.
func (x *exchange) needs() []Need {
	if x.end.api.Resources != nil {
		needs := x.end.api.Resources(x.call, x.op.Name, x.in)
		if x.p.cfg.Strict {
			x.mustList(needs)
		}
		if len(needs) > 0 {
			return needs
		}
	}
	return []Need{{Resource: x.call.Resource}}
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

// pathARN is API Gateway's resource: the path of the call, with its labels. Colons and
// slashes of a label are escaped, as AWS does with the ARN below /tags.
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
		labels = append(labels, "{"+f.name+"}", strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), "{"+f.name+"+}", s)
	}
	return "arn:aws:apigateway:" + c.Region + "::" + strings.NewReplacer(labels...).Replace(path)
}

// Denial is AWS's sentence for a caller that may not (IAM user guide, "Troubleshoot access
// denied error messages").
func Denial(who Caller, action, resource string, d policy.Decision) string {
	kind := d.Kind
	if kind == "" {
		kind = policy.KindIdentity
	}
	s := "User: " + nameOf(who) + " is not authorized to perform: " + action + " on resource: " + resource
	if d.Explicit {
		return s + " with an explicit deny in " + article(kind)
	}
	return s + " because no " + kind + " allows the " + action + " action"
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
