package wire_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	"moat/internal/wire/ssmapi"
)

type parameters struct{ ssmapi.Unimplemented }

func (parameters) GetParameter(_ context.Context, in *ssmapi.GetParameterRequest) (*ssmapi.GetParameterResult, error) {
	if in.Name == "absent" {
		return nil, &ssmapi.ParameterNotFound{}
	}
	at := time.Unix(1720811950, 0)
	return &ssmapi.GetParameterResult{Parameter: &ssmapi.Parameter{Name: &in.Name, Type: "String", Value: wire.String("123"), Version: wire.Int64(1), LastModifiedDate: &at}}, nil
}

func (parameters) GetParameters(_ context.Context, in *ssmapi.GetParametersRequest) (*ssmapi.GetParametersResult, error) {
	return &ssmapi.GetParametersResult{InvalidParameters: in.Names}, nil
}

// Calls of the query protocol are answered in JSON to who accepts it; Systems Manager answers
// that protocol, too.
func TestPipeline_forms(t *testing.T) {
	t.Parallel()
	json := map[string]string{"Accept": "application/json", "Content-Type": formType["Content-Type"]}
	ssm := func(header map[string]string, body string) request {
		return request{service: "ssm", header: header, body: body}
	}
	for name, c := range map[string]struct {
		q      request
		status int
		want   string
	}{
		"JSON of STS": {with(identity(), func(q *request) { q.header = json }), 200,
			`{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"123456789012","Arn":"arn:aws:iam::123456789012:user/ada","UserId":"AIDAEXAMPLE"},"ResponseMetadata":{"RequestId":"ID"}}}`},
		"JSON by a weight": {with(identity(), func(q *request) {
			q.header = map[string]string{"Accept": "text/plain;q=0.1, Application/JSON;q=0.9", "Content-Type": formType["Content-Type"]}
		}), 200, `{"GetCallerIdentityResponse":`},
		"XML before JSON": {with(identity(), func(q *request) {
			q.header = map[string]string{"Accept": "text/xml, application/json", "Content-Type": formType["Content-Type"]}
		}), 200, `<GetCallerIdentityResponse`},
		"an error": {with(identity(), func(q *request) { q.header, q.body = json, form("Action", "Nonsense") }), 400,
			`{"Error":{"Code":"InvalidAction","Message":"Could not find operation Nonsense for version 2011-06-15","Type":"Sender"},"RequestId":"ID"}`},
		"a wrong signature": {with(identity(), func(q *request) { q.header, q.secret = json, "wrong" }), 403, `{"Error":{"Code":"SignatureDoesNotMatch",`},
		"a form of Systems Manager": {ssm(json, "Action=GetParameter&Name=p"), 200,
			`{"GetParameterResponse":{"GetParameterResult":{"Parameter":{"ARN":null,"DataType":null,"LastModifiedDate":1720811950,"Name":"p","Selector":null,"SourceResult":null,"Type":"String","Value":"123","Version":1}},"ResponseMetadata":{"RequestId":"ID"}}}`},
		"with its version":                       {ssm(json, "Action=GetParameter&Name=p&Version=2014-11-06"), 200, `{"GetParameterResponse":`},
		"of another version":                     {ssm(json, "Action=GetParameter&Name=p&Version=2014-11-07"), 400, `{"Error":{"Code":"InvalidAction",`},
		"in XML":                                 {ssm(formType, "Action=GetParameter&Name=p"), 200, `<GetParameterResponse><GetParameterResult><Parameter><LastModifiedDate>2024-07-12T19:19:10Z</LastModifiedDate><Name>p</Name>`},
		"in the query string":                    {with(ssm(map[string]string{"Accept": "application/json"}, ""), func(q *request) { q.target = "/?Action=GetParameter&Name=p" }), 200, `{"GetParameterResponse":`},
		"with a list":                            {ssm(json, "Action=GetParameters&Names.member.1=a&Names.member.2=b"), 200, `{"GetParametersResponse":{"GetParametersResult":{"InvalidParameters":["a","b"],"Parameters":null},`},
		"an error of it":                         {ssm(json, "Action=GetParameter&Name=absent"), 400, `{"Error":{"Code":"ParameterNotFound","Message":"","Type":"Sender"},"RequestId":"ID"}`},
		"without a name":                         {ssm(json, "Action=GetParameter"), 400, `{"Error":{"Code":"ValidationException",`},
		"without a signature":                    {with(ssm(json, "Action=GetParameter&Name=p"), func(q *request) { q.host, q.key = "ssm.eu-west-1.amazonaws.com", "-" }), 403, `{"Error":{"Code":"MissingAuthenticationToken",`},
		"a form of a JSON service without forms": {request{service: "cognito-idp", header: json, body: "Action=ListUserPools"}, 400, `"__type":"UnknownOperationException"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(cfg *wire.Config) { cfg.APIs = append(cfg.APIs, ssmapi.New(parameters{})) })
			w := f.do(c.q)
			got := strings.ReplaceAll(w.Body.String(), w.Header().Get("X-Amzn-Requestid"), "ID")
			if w.Code != c.status || !strings.Contains(got, c.want) {
				t.Errorf("got %d %s, want %d %s", w.Code, got, c.status, c.want)
			}
		})
	}
}
