package trail

import (
	"slices"
	"strconv"

	"moat/internal/pure/jsonstring"
)

// append appends an event as encoding/json writes it, which takes ten times as long: it reads
// types, and each message again. RequestParameters and ResponseElements are as
// [encoder.message] makes them.
func (e *Event) append(b []byte) []byte {
	b = jsonstring.AppendHTML(append(b, `{"eventVersion":`...), e.EventVersion)
	b = e.UserIdentity.append(append(b, `,"userIdentity":`...))
	b = jsonstring.AppendHTML(append(b, `,"eventTime":`...), e.EventTime)
	b = jsonstring.AppendHTML(append(b, `,"eventSource":`...), e.EventSource)
	b = jsonstring.AppendHTML(append(b, `,"eventName":`...), e.EventName)
	b = jsonstring.AppendHTML(append(b, `,"awsRegion":`...), e.AWSRegion)
	b = jsonstring.AppendHTML(append(b, `,"sourceIPAddress":`...), e.SourceIPAddress)
	b = jsonstring.AppendHTML(append(b, `,"userAgent":`...), e.UserAgent)
	b = optional(b, `,"errorCode":`, e.ErrorCode)
	b = optional(b, `,"errorMessage":`, e.ErrorMessage)
	b = appendMessage(append(b, `,"requestParameters":`...), e.RequestParameters)
	b = appendMessage(append(b, `,"responseElements":`...), e.ResponseElements)
	b = e.AdditionalEventData.append(append(b, `,"additionalEventData":`...))
	b = jsonstring.AppendHTML(append(b, `,"requestID":`...), e.RequestID)
	b = jsonstring.AppendHTML(append(b, `,"eventID":`...), e.EventID)
	b = strconv.AppendBool(append(b, `,"readOnly":`...), e.ReadOnly)
	if len(e.Resources) > 0 {
		b = appendList(append(b, `,"resources":`...), e.Resources, (*Resource).append)
	}
	b = jsonstring.AppendHTML(append(b, `,"eventType":`...), e.EventType)
	b = strconv.AppendBool(append(b, `,"managementEvent":`...), e.ManagementEvent)
	b = jsonstring.AppendHTML(append(b, `,"recipientAccountId":`...), e.RecipientAccountID)
	b = jsonstring.AppendHTML(append(b, `,"eventCategory":`...), e.EventCategory)
	return append(b, '}')
}

func (i *Identity) append(b []byte) []byte {
	start := len(b)
	b = optional(b, `,"type":`, i.Type)
	b = optional(b, `,"principalId":`, i.PrincipalID)
	b = optional(b, `,"arn":`, i.ARN)
	b = optional(b, `,"accountId":`, i.AccountID)
	b = optional(b, `,"accessKeyId":`, i.AccessKeyID)
	b = optional(b, `,"userName":`, i.UserName)
	if s := i.SessionContext; s != nil {
		b = s.append(append(b, `,"sessionContext":`...))
	}
	b = optional(b, `,"invokedBy":`, i.InvokedBy)
	b = optional(b, `,"identityProvider":`, i.IdentityProvider)
	return closed(b, start, '{', '}')
}

func (s *SessionContext) append(b []byte) []byte {
	start := len(b)
	if i := s.SessionIssuer; i != nil {
		b = jsonstring.AppendHTML(append(b, `,"sessionIssuer":{"type":`...), i.Type)
		b = jsonstring.AppendHTML(append(b, `,"principalId":`...), i.PrincipalID)
		b = jsonstring.AppendHTML(append(b, `,"arn":`...), i.ARN)
		b = jsonstring.AppendHTML(append(b, `,"accountId":`...), i.AccountID)
		b = append(jsonstring.AppendHTML(append(b, `,"userName":`...), i.UserName), '}')
	}
	b = append(b, `,"attributes":`...)
	if s.Attributes == nil {
		b = append(b, "null"...)
	} else {
		b = appendTexts(b, s.Attributes, nil)
	}
	b = optional(b, `,"sourceIdentity":`, s.SourceIdentity)
	return closed(b, start, '{', '}')
}

func (a *Additional) append(b []byte) []byte {
	b = jsonstring.AppendHTML(append(b, `{"kind":`...), a.Kind)
	b = optional(b, `,"method":`, a.Method)
	b = optional(b, `,"path":`, a.Path)
	b = optional(b, `,"route":`, a.Route)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(a.Status), 10)
	b = jsonstring.AppendHTML(append(b, `,"step":`...), a.Step)
	b = optional(b, `,"grounds":`, a.Grounds)
	// Thousandths of what a Duration can hold: no exponent.
	b = strconv.AppendFloat(append(b, `,"latencyMs":`...), a.LatencyMS, 'f', -1, 64)
	if len(a.Decisions) > 0 {
		b = appendList(append(b, `,"decisions":`...), a.Decisions, (*Decision).append)
	}
	return append(b, '}')
}

func (d *Decision) append(b []byte) []byte {
	b = jsonstring.AppendHTML(append(b, `{"action":`...), d.Action)
	b = jsonstring.AppendHTML(append(b, `,"resource":`...), d.Resource)
	b = optional(b, `,"passedToService":`, d.PassedTo)
	b = jsonstring.AppendHTML(append(b, `,"result":`...), d.Result)
	b = optional(b, `,"kind":`, d.Kind)
	b = optional(b, `,"policy":`, d.Policy)
	b = optional(b, `,"statement":`, d.Statement)
	b = optional(b, `,"reason":`, d.Reason)
	b = optional(b, `,"condition":`, d.Condition)
	b = appendMissing(b, d.Missing)
	if len(d.Considered) > 0 {
		b = appendList(append(b, `,"considered":`...), d.Considered, (*Considered).append)
	}
	return append(b, '}')
}

func (c *Considered) append(b []byte) []byte {
	b = jsonstring.AppendHTML(append(b, `{"kind":`...), c.Kind)
	b = jsonstring.AppendHTML(append(b, `,"policy":`...), c.Policy)
	b = jsonstring.AppendHTML(append(b, `,"statement":`...), c.Statement)
	b = jsonstring.AppendHTML(append(b, `,"effect":`...), c.Effect)
	b = strconv.AppendBool(append(b, `,"matched":`...), c.Matched)
	b = optional(b, `,"failed":`, c.Failed)
	b = optional(b, `,"condition":`, c.Condition)
	return append(appendMissing(b, c.Missing), '}')
}

func (r *Resource) append(b []byte) []byte {
	start := len(b)
	b = optional(b, `,"ARN":`, r.ARN)
	b = optional(b, `,"accountId":`, r.AccountID)
	b = optional(b, `,"type":`, r.Type)
	return closed(b, start, '{', '}')
}

// optional appends a member unless its value is empty.
func optional(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return jsonstring.AppendHTML(append(b, name...), value)
}

func appendMessage(b, message []byte) []byte {
	if message == nil {
		return append(b, "null"...)
	}
	return append(b, message...)
}

func appendMissing(b []byte, keys []string) []byte {
	if len(keys) == 0 {
		return b
	}
	return appendList(append(b, `,"missingContext":`...), keys, func(s *string, b []byte) []byte { return jsonstring.AppendHTML(b, *s) })
}

func appendList[T any](b []byte, list []T, one func(*T, []byte) []byte) []byte {
	start := len(b)
	for i := range list {
		b = one(&list[i], append(b, ','))
	}
	return closed(b, start, '[', ']')
}

// appendTexts appends an object, sorted by its names; a value whose name is secret is hidden.
func appendTexts(b []byte, texts map[string]string, secret func(name string) bool) []byte {
	var room [16]string
	names, start := room[:0], len(b)
	for name := range texts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b = append(jsonstring.AppendHTML(append(b, ','), name), ':')
		if secret != nil && secret(name) {
			b = append(b, hiddenText...)
		} else {
			b = jsonstring.AppendHTML(b, texts[name])
		}
	}
	return closed(b, start, '{', '}')
}

// closed makes an object or a list of the members behind start, which begin with a comma each.
func closed(b []byte, start int, first, last byte) []byte {
	if len(b) == start {
		return append(b, first, last)
	}
	b[start] = first
	return append(b, last)
}
