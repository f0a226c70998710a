package userpool

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

const testLogGroup = "arn:aws:logs:" + testRegion + ":000000000000:log-group:"

func logTo(source api.EventSourceName, level api.LogLevel, group string) api.LogConfigurationType {
	return api.LogConfigurationType{EventSource: source, LogLevel: level, CloudWatchLogsConfiguration: &api.CloudWatchLogsConfigurationType{LogGroupArn: &group}}
}

// logged is a log that keeps what is written; down refuses.
type logged struct {
	lines map[string][]string // by group and stream
	down  bool
}

func (h *house) logs() *logged {
	l := &logged{lines: map[string][]string{}}
	h.appendLog = func(_ context.Context, region, group, stream string, times []time.Time, texts []string) error {
		if l.down {
			return errors.New("the log is down")
		}
		if region != testRegion || len(times) != len(texts) {
			h.t.Errorf("%d times and %d lines for %s", len(times), len(texts), region)
		}
		l.lines[group+" "+stream] = append(l.lines[group+" "+stream], texts...)
		return nil
	}
	return l
}

// carry writes all that waits.
func (h *house) carry() error {
	h.t.Helper()
	for {
		more, err := h.carryLines(h.t.Context())
		if err != nil || !more {
			return err
		}
	}
}

func (h *house) setLogs(pool string, list ...api.LogConfigurationType) error {
	if list == nil {
		list = []api.LogConfigurationType{}
	}
	_, err := h.c.SetLogDeliveryConfiguration(h.t.Context(), &api.SetLogDeliveryConfigurationRequest{UserPoolId: pool, LogConfigurations: list})
	return err
}

func TestLogDelivery(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	get := func() []api.LogConfigurationType {
		return must[*api.GetLogDeliveryConfigurationResponse](t)(h.c.GetLogDeliveryConfiguration(t.Context(), &api.GetLogDeliveryConfigurationRequest{UserPoolId: pool})).LogDeliveryConfiguration.LogConfigurations
	}
	if got := get(); got == nil || len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	mustDo(t, h.setLogs(pool, logTo("userNotification", "ERROR", testLogGroup+"mail"), logTo("userAuthEvents", "INFO", testLogGroup+"/aws/vendedlogs/users")))
	if got := get(); len(got) != 2 || got[0].EventSource != "userNotification" || *got[1].CloudWatchLogsConfiguration.LogGroupArn != testLogGroup+"/aws/vendedlogs/users" {
		t.Errorf("got %+v", got)
	}
	// It is no part of what an update replaces.
	must[*api.UpdateUserPoolResponse](t)(h.c.UpdateUserPool(t.Context(), &api.UpdateUserPoolRequest{UserPoolId: pool}))
	if len(get()) != 2 {
		t.Error("an update took it away")
	}
	stream, bucket := "arn:aws:firehose:eu-central-1:000000000000:deliverystream/x", "arn:aws:s3:::x"
	both := logTo("userAuthEvents", "INFO", testLogGroup+"x")
	both.S3Configuration = &api.S3ConfigurationType{BucketArn: &bucket}
	for name, tt := range map[string]struct {
		in   api.LogConfigurationType
		code string
	}{
		"Firehose":                {api.LogConfigurationType{EventSource: "userAuthEvents", LogLevel: "INFO", FirehoseConfiguration: &api.FirehoseConfigurationType{StreamArn: &stream}}, "NotImplemented"},
		"S3":                      {api.LogConfigurationType{EventSource: "userAuthEvents", LogLevel: "INFO", S3Configuration: &api.S3ConfigurationType{BucketArn: &bucket}}, "NotImplemented"},
		"notifications to S3":     {api.LogConfigurationType{EventSource: "userNotification", LogLevel: "ERROR", S3Configuration: &api.S3ConfigurationType{BucketArn: &bucket}}, "InvalidParameterException"},
		"nowhere":                 {api.LogConfigurationType{EventSource: "userAuthEvents", LogLevel: "INFO"}, "InvalidParameterException"},
		"two places":              {both, "InvalidParameterException"},
		"notifications at INFO":   {logTo("userNotification", "INFO", testLogGroup+"x"), "InvalidParameterException"},
		"events at ERROR":         {logTo("userAuthEvents", "ERROR", testLogGroup+"x"), "InvalidParameterException"},
		"another account":         {logTo("userAuthEvents", "INFO", "arn:aws:logs:"+testRegion+":111111111111:log-group:x"), "InvalidParameterException"},
		"another region":          {logTo("userAuthEvents", "INFO", "arn:aws:logs:us-east-1:000000000000:log-group:x"), "InvalidParameterException"},
		"no log group":            {logTo("userAuthEvents", "INFO", "arn:aws:logs:"+testRegion+":000000000000:x"), "InvalidParameterException"},
		"a stream":                {logTo("userAuthEvents", "INFO", testLogGroup+"x:log-stream:y"), "InvalidParameterException"},
		"a name that cannot be":   {logTo("userAuthEvents", "INFO", testLogGroup+"a b"), "InvalidParameterException"},
		"no name":                 {logTo("userAuthEvents", "INFO", testLogGroup), "InvalidParameterException"},
		"a name that is too long": {logTo("userAuthEvents", "INFO", testLogGroup+strings.Repeat("x", 513)), "InvalidParameterException"},
	} {
		t.Run(name, func(t *testing.T) { want(t, h.setLogs(pool, tt.in), tt.code, "") })
	}
	want(t, h.setLogs(pool, logTo("userAuthEvents", "INFO", testLogGroup+"x"), logTo("userAuthEvents", "INFO", testLogGroup+"y")), "InvalidParameterException", "")
	want(t, h.setLogs(testRegion+"_none"), "ResourceNotFoundException", "")
	if len(get()) != 2 {
		t.Error("a refused configuration was kept")
	}
	mustDo(t, h.setLogs(pool))
	if len(get()) != 0 {
		t.Error("it is still there")
	}
	needs := h.resources(nil, "SetLogDeliveryConfiguration", &api.SetLogDeliveryConfigurationRequest{UserPoolId: pool, LogConfigurations: []api.LogConfigurationType{both}})
	if len(needs) != 2 || needs[1].Action != "logs:CreateLogDelivery" || needs[0].Resource != h.arnOf(pool) {
		t.Errorf("needs %+v", needs)
	}
}

// The events of users in the words of AWS's own example, once each, whatever fails meanwhile.
func TestLogDelivery_userAuthEvents(t *testing.T) {
	t.Parallel()
	h, pool, client := guarded(t, "AUDIT")
	log := h.logs()
	h.member(pool, "ann")
	_, _ = h.from(pool, client, "ann", goodPass, "192.0.2.1", "Firefox") // before it was asked for
	mustDo(t, h.setLogs(pool, logTo("userAuthEvents", "INFO", testLogGroup+"users")))
	log.down = true
	_, err := h.from(pool, client, "ann", "Wrong-horse-77", "192.0.2.1", "Firefox")
	want(t, err, "NotAuthorizedException", "")
	must[*api.AdminInitiateAuthResponse](t)(h.from(pool, client, "ann", goodPass, "192.0.2.2", "Firefox"))
	_, err = h.from(pool, client, "nobody", goodPass, "192.0.2.1", "Firefox")
	want(t, err, "NotAuthorizedException", "")
	if h.carry() == nil {
		t.Error("a log that is down takes lines")
	}
	log.down = false
	mustDo(t, h.carry())
	mustDo(t, h.carry())
	lines := log.lines["users "+pool]
	if len(log.lines) != 1 || len(lines) != 2 {
		t.Fatalf("got %v", log.lines)
	}
	var got struct {
		EventTimestamp, EventSource, LogLevel string
		Message                               exportedActivity
		LogSourceID                           struct{ UserPoolID string } `json:"logSourceId"`
	}
	if err := json.Unmarshal([]byte(lines[1]), &got); err != nil {
		t.Fatal(err)
	}
	events := h.events(pool, "ann")
	m := got.Message
	if got.EventTimestamp != strconv.FormatInt(h.time().Add(-time.Second).UnixMilli(), 10) || got.EventSource != "USER_ACTIVITY" || got.LogLevel != "INFO" || got.LogSourceID.UserPoolID != pool {
		t.Errorf("got %+v", got)
	}
	if m.EventID != *events[0].EventId || m.UserName != "ann" || m.UserSub != h.subOf(pool, "ann") || m.ClientID != client || m.EventResponse != "Pass" || m.EventType != "SignIn" || m.IPAddress != "192.0.2.2" ||
		m.DeviceName != "Firefox" || m.RiskDecision != "PASS" || m.Compromised != "false" || m.HasContextData != "true" || len(m.Challenges) != 1 || m.Challenges[0] != "Password:Success" || m.CreationDate != "Fri Nov 20 12:00:03 UTC 2026" {
		t.Errorf("got %s", lines[1])
	}
	for _, member := range []string{`"version":"1"`, `"requestId":""`, `"idpName":""`, `"city":""`, `"country":""`, `"eventFeedbackValue":""`, `"riskLevel":""`} {
		if !strings.Contains(lines[1], member) {
			t.Errorf("%s is missing in %s", member, lines[1])
		}
	}
	if !strings.Contains(lines[0], `"eventResponse":"Fail"`) || strings.Contains(strings.Join(lines, ""), "horse") {
		t.Errorf("got %s", lines[0])
	}
	// Where nobody wants them any more they go nowhere, and with the pool they are gone.
	_, _ = h.from(pool, client, "ann", goodPass, "192.0.2.1", "Firefox")
	mustDo(t, h.setLogs(pool))
	mustDo(t, h.carry())
	mustDo(t, h.setLogs(pool, logTo("userAuthEvents", "INFO", testLogGroup+"users")))
	_, _ = h.from(pool, client, "ann", goodPass, "192.0.2.1", "Firefox")
	must[*api.DeleteUserPoolOutput](t)(h.c.DeleteUserPool(t.Context(), &api.DeleteUserPoolRequest{UserPoolId: pool}))
	mustDo(t, h.carry())
	if n := len(log.lines["users "+pool]); n != 2 || h.waitingLines() != 0 {
		t.Errorf("%d lines, %d wait", n, h.waitingLines())
	}
}

func (h *house) waitingLines() (n int) {
	h.t.Helper()
	mustDo(h.t, h.db.View(h.t.Context(), func(tx *store.Tx) (err error) {
		n, err = h.tables.lines.Count(tx, store.Query{})
		return err
	}))
	return n
}

// Messages that were not delivered are told of at the first attempt and the last, without what
// they say and where they go.
func TestLogDelivery_userNotification(t *testing.T) {
	t.Parallel()
	h, pool, client := letterHouse(t)
	log := h.logs()
	mustDo(t, h.setLogs(pool, logTo("userNotification", "ERROR", testLogGroup+"mail")))
	h.mustSignUp(client, "zoe@example.com")
	h.round()
	mustDo(t, h.carry())
	if len(log.lines) != 0 {
		t.Errorf("a delivered message: %v", log.lines)
	}
	h.box.fail = true
	h.mustSignUp(client, "ann@example.com")
	for h.round() > 0 || len(h.lettersLeft()) > 0 {
		h.advance(longestPause)
	}
	mustDo(t, h.carry())
	lines := log.lines["mail "+pool]
	if len(lines) != 2 || !strings.Contains(lines[0], "is tried again: the mail server is down") || !strings.Contains(lines[1], "was given up after ") {
		t.Fatalf("got %q", lines)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, `{"eventTimestamp":"`) || !strings.Contains(line, `"eventSource":"USER_NOTIFICATION","logLevel":"ERROR","message":{"details":"The message SignUp (EMAIL) to the user `) ||
			!strings.HasSuffix(line, `"logSourceId":{"userPoolId":"`+pool+`"}}`) || strings.Contains(line, "@") {
			t.Errorf("got %s", line)
		}
	}
	// Only what was asked for.
	if other := h.waitingLines(); other != 0 {
		t.Errorf("%d lines wait", other)
	}
}
