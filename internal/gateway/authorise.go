package gateway

import (
	"math"
	"strconv"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/wire"
)

// actionInvoke is what a caller of a deployed API does.
const actionInvoke = "execute-api:Invoke"

// authorise decides who calls and whether they may. A type that it does not know is
// refused, though Compile lets none through.
func authorise(x *Exchange) error {
	if x.route.def.AuthorizationType == "NONE" {
		if x.grounds == "" {
			x.grounds = "the route asks for no authorisation"
		}
		return nil
	}
	x.enter(identifying)
	err := authoriseBy(x)
	reached := x.phases.at
	x.enter(decided)
	if err != nil {
		x.phases.at = reached
	}
	return err
}

func authoriseBy(x *Exchange) error {
	switch x.route.def.AuthorizationType {
	case "AWS_IAM":
		return authoriseIAM(x)
	case "COGNITO_USER_POOLS":
		if err := authoriseToken(x); err != nil {
			return err
		}
		x.enter(deciding)
		return x.byResourcePolicy()
	case "CUSTOM":
		return authoriseFunction(x)
	}
	return refuse(Unauthorized, "unknown authorization type "+x.route.def.AuthorizationType)
}

// resourcePolicy applies the API's policy to a route without authorisation, where it
// alone decides; and for a function authorizer refuses at once what it denies
// outright, before the function is called. With the other types it is weighed by
// authorise, once the caller is known (API Gateway Developer Guide, "How API Gateway
// resource policies affect authorization workflow").
func resourcePolicy(x *Exchange) error {
	if x.snap.policy == nil {
		return nil
	}
	switch x.route.def.AuthorizationType {
	case "NONE":
		return x.byResourcePolicy()
	case "CUSTOM":
		if d := x.askResource(wire.Caller{}, actionInvoke); d.Explicit {
			return x.denied("anonymous", d)
		}
	}
	return nil
}

// byResourcePolicy lets through what the resource policy allows to everybody.
func (x *Exchange) byResourcePolicy() error {
	if x.snap.policy == nil {
		return nil
	}
	if d := x.askResource(wire.Caller{}, actionInvoke); !d.Allowed {
		return x.denied("anonymous", d)
	}
	return nil
}

// askResource evaluates the API's resource policy alone.
func (x *Exchange) askResource(c wire.Caller, action string) policy.Decision {
	return policy.Evaluate(&policy.Request{Principal: c.Principal, Action: action, Resource: x.methodARN(), Account: x.snap.def.Account, Context: x.asked()},
		&policy.Policies{Resource: x.snap.policy})
}

// methodARN names this request in policies: the path in the form that the router
// read, so that another spelling of it cannot slip past a statement. It ends with the exchange.
func (x *Exchange) methodARN() string {
	if x.arn != "" {
		return x.arn
	}
	b := append(x.arnRoom[:0], x.snap.arn...)
	b = append(b, x.Method...)
	for _, s := range x.segs {
		b = append(b, '/')
		b = append(b, s.key...)
	}
	if len(x.segs) == 0 {
		b = append(b, '/')
	}
	x.arn, x.arnRoom = view(b), b
	return x.arn
}

// conditions are the keys that the request brings, for whoever keeps them.
func (x *Exchange) conditions() policy.Context {
	r := newConditionRoom()
	r.fill(x)
	return r.keys
}

// asked are the conditions for a decision that is over before the exchange is.
func (x *Exchange) asked() policy.Context {
	if x.room == nil {
		x.room = newConditionRoom()
	}
	if !x.room.filled {
		x.room.fill(x)
	}
	return x.room.keys
}

// conditionRoom is where the keys of decisions stand. It is kept from exchange to exchange:
// the keys are the same but for a few, and what they stand for is written over.
type conditionRoom struct {
	keys   policy.Context
	values [13]string // one of each name
	there  [13]bool   // which of the keys stand in keys
	filled bool       // for the exchange under way
	second int64      // the time that values has in words

	decision policy.Decision // the one before, and its grounds
	told     string
}

const timeLayout = "2006-01-02T15:04:05Z"

// conditionName names what stands at a place of a conditionRoom. The second line is there only
// where the request brings it. Who comes by a VPC endpoint has an address in the VPC, and no other
// (IAM User Guide, "Global condition context keys").
func conditionName(place int) string {
	return [...]string{"aws:securetransport", "aws:currenttime", "aws:epochtime", "aws:requestedregion", "aws:resourceaccount", "aws:viaawsservice",
		"aws:sourceip", "aws:useragent", "aws:referer", "aws:sourcevpce", "aws:sourcevpc", "aws:vpcsourceip", "execute-api:viadomainarn"}[place]
}

func newConditionRoom() *conditionRoom {
	r := &conditionRoom{keys: make(policy.Context, 13), second: math.MinInt64}
	for i := range r.values[:6] {
		r.set(i)
	}
	r.values[5] = "false"
	return r
}

// set gives a place its key. The value is cut out of the array so that whoever appends gets a copy.
func (r *conditionRoom) set(place int) {
	r.keys[conditionName(place)] = r.values[place : place+1 : place+1]
}

// may writes a value that is not always there.
func (r *conditionRoom) may(place int, value string, there bool) {
	switch r.values[place] = value; {
	case there && !r.there[place]:
		r.set(place)
	case !there && r.there[place]:
		delete(r.keys, conditionName(place))
	}
	r.there[place] = there
}

func (r *conditionRoom) fill(x *Exchange) {
	r.filled = true
	r.values[0] = strconv.FormatBool(x.Secure)
	if now := x.start.Unix(); now != r.second {
		var buf [40]byte
		times := string(strconv.AppendInt(x.start.UTC().AppendFormat(buf[:0], timeLayout), now, 10))
		r.second, r.values[1], r.values[2] = now, times[:len(timeLayout)], times[len(timeLayout):]
	}
	r.values[3], r.values[4] = x.snap.def.Region, x.snap.def.Account
	agent, referer := x.get("User-Agent"), x.get("Referer")
	r.may(7, agent, agent != "")
	r.may(8, referer, referer != "")
	var e VPCEndpoint
	if x.Endpoint != nil {
		e = *x.Endpoint
	}
	r.may(6, x.RemoteIP, e.ID == "")
	r.may(9, e.ID, e.ID != "")
	r.may(10, e.VPC, e.VPC != "")
	r.may(11, x.RemoteIP, e.ID != "")
	domain := x.viaDomain()
	r.may(12, domain, domain != "")
}

// denied is AWS's refusal by policy; the account in the ARN is masked, as AWS masks it.
func (x *Exchange) denied(user string, d policy.Decision) *Refusal {
	arn := "arn:aws:execute-api:" + x.snap.def.Region + ":" + masked(x.snap.def.Account) + ":" + x.methodARN()[len(x.snap.arn)-len(x.APIID)-len(x.Stage)-2:]
	return deniedOn(user, x.methodARN(), arn, d)
}

func masked(account string) string {
	if len(account) > 4 {
		return "********" + account[len(account)-4:]
	}
	return account
}

// deniedOn is a refusal on a resource, which the caller is told of as shown.
func deniedOn(user, resource, shown string, d policy.Decision) *Refusal {
	sentence := "User: " + user + " is not authorized to perform: " + actionInvoke + " on resource: " + shown
	if d.Explicit {
		sentence += " with an explicit deny"
	}
	return &Refusal{
		Kind: AccessDenied, Message: sentence, Capital: true, Grounds: grounds(d),
		checks: []wire.Check{{Action: actionInvoke, Resource: strings.Clone(resource), Decision: d}},
	}
}

// grounds is [grounds] of a decision, which mostly is the one before.
func (r *conditionRoom) grounds(d policy.Decision) string {
	if p := &r.decision; r.told == "" || p.Reason != d.Reason || p.Policy != d.Policy || p.Statement != d.Statement {
		r.decision, r.told = policy.Decision{Reason: d.Reason, Policy: d.Policy, Statement: d.Statement}, grounds(d)
	}
	return r.told
}

// grounds names what decided.
func grounds(d policy.Decision) string {
	switch {
	case d.Policy == "":
		return d.Reason
	case d.Statement == "":
		return d.Reason + " (policy " + d.Policy + ")"
	}
	return d.Reason + " (policy " + d.Policy + ", statement " + d.Statement + ")"
}
