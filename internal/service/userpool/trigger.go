package userpool

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// Invoker runs the functions that pools name as their triggers. The function's
// resource policy must let cognito-idp.amazonaws.com in for the pool.
type Invoker interface {
	InvokeTrigger(ctx context.Context, functionARN, poolARN string, event []byte) (TriggerResult, error)
}

// TriggerResult is what a function answered.
type TriggerResult struct {
	Payload []byte
	Failed  bool // the function itself failed; Payload describes how
}

// TriggerError is a function that could not be run at all.
type TriggerError struct {
	Code string // AWS's name of the reason: AccessDeniedException, ResourceNotFoundException
	Err  error
}

func (e *TriggerError) Error() string { return e.Code + ": " + e.Err.Error() }
func (e *TriggerError) Unwrap() error { return e.Err }

const (
	// triggerTime is what a function has to answer, and triggerTries how often it is
	// asked when it does not (Cognito developer guide, "Things to know about Lambda triggers").
	triggerTime  = 5 * time.Second
	triggerTries = 3

	noClientID = "CLIENT_ID_NOT_APPLICABLE"
)

// occasion is what a trigger is told of the request that fires it.
type occasion struct {
	client     string // app client id; empty for an administrator's request
	metadata   map[string]string
	validation map[string]string
}

// triggerEvent is the event that every trigger gets, and gives back with its response
// filled in.
type triggerEvent struct {
	Version       string        `json:"version"`
	TriggerSource string        `json:"triggerSource"`
	Region        string        `json:"region"`
	UserPoolID    string        `json:"userPoolId"`
	UserName      string        `json:"userName,omitempty"`
	CallerContext triggerCaller `json:"callerContext"`
	Request       any           `json:"request"`
	Response      any           `json:"response"`
}

type triggerCaller struct {
	SDK    string `json:"awsSdkVersion"`
	Client string `json:"clientId"`
}

// call is one firing of a trigger.
type call struct {
	name     string // PreSignUp
	source   string // SignUp
	function string
	version  string // of the event; "1" when empty
	user     string
	on       occasion
	request  any
	response any // pointer to the response's type: sent as it is, then filled in
}

// fire runs a trigger and fills in its response. A pool without the trigger, for
// which function is empty, is the caller's to see.
func (s *Service) fire(ctx context.Context, p *Pool, c call) error {
	event, err := c.event(p)
	if err != nil {
		return err
	}
	result, err := s.invokeTrigger(ctx, p, c.function, event)
	if err != nil {
		return s.triggerFailed(p, &c, err)
	}
	if result.Failed {
		return refuse(lambdaRefused, c.name+" failed with error "+functionMessage(result.Payload)+".")
	}
	var back struct {
		Response json.RawMessage `json:"response"`
	}
	if json.Unmarshal(result.Payload, &back) != nil {
		return refuse(lambdaUnreadable, "Unrecognizable lambda output")
	}
	if len(back.Response) == 0 || string(back.Response) == "null" {
		return nil
	}
	if json.Unmarshal(back.Response, c.response) != nil {
		return refuse(lambdaUnreadable, "Unrecognizable lambda output")
	}
	return nil
}

// event is what the function gets.
func (c *call) event(p *Pool) ([]byte, error) {
	ev := triggerEvent{
		Version: c.version, TriggerSource: c.name + "_" + c.source, Region: p.Region, UserPoolID: p.ID, UserName: c.user,
		CallerContext: triggerCaller{"aws-sdk-unknown-unknown", c.on.client}, Request: c.request, Response: c.response,
	}
	if ev.Version == "" {
		ev.Version = "1"
	}
	if ev.CallerContext.Client == "" {
		ev.CallerContext.Client = noClientID
	}
	return json.Marshal(ev)
}

// invokeTrigger asks a function up to three times, each for five seconds. A function
// that answered, and be it with an error, is not asked again.
func (s *Service) invokeTrigger(ctx context.Context, p *Pool, function string, event []byte) (TriggerResult, error) {
	if s.invoker == nil {
		return TriggerResult{}, &TriggerError{"ResourceNotFoundException", errors.New("no functions can be run here")}
	}
	var err error
	for range triggerTries {
		var result TriggerResult
		try, cancel := context.WithTimeout(ctx, triggerTime)
		result, err = s.invoker.InvokeTrigger(try, function, s.poolARN(p), event)
		late := try.Err() != nil
		cancel()
		if err == nil || !late || ctx.Err() != nil {
			return result, err
		}
	}
	return TriggerResult{}, err
}

func (s *Service) triggerFailed(p *Pool, c *call, err error) error {
	code := "TimeoutException"
	var e *TriggerError
	switch {
	case errors.As(err, &e):
		code = e.Code
	case !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	s.log.Warn("a trigger could not be run", "pool", p.ID, "trigger", c.name, "function", c.function, "error", err)
	return refuse(lambdaUnexpected, c.name+" invocation failed due to error "+code+".")
}

// functionMessage is the errorMessage of a failed function.
func functionMessage(payload []byte) string {
	var e struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(payload, &e) != nil || e.Message == "" {
		return "unknown"
	}
	return e.Message
}

// lambda returns the pool's triggers; the zero value has none.
func (p *Pool) lambda() api.LambdaConfigType { return wire.Value(p.Settings.Lambda) }

// eventAttributes are a user's attributes as triggers get them.
func eventAttributes(u *User) map[string]string {
	out := map[string]string{"cognito:user_status": u.Status}
	if u.Sub != "" {
		out["sub"] = u.Sub
	}
	for name, value := range u.Attributes {
		out[name] = value
	}
	return out
}

func attributePairs(list []api.AttributeType) map[string]string {
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]string, len(list))
	for _, a := range list {
		out[a.Name] = deref(a.Value)
	}
	return out
}
