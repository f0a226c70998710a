package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
)

// plan is a usage plan on the example's stage. Zero: without a limit.
type plan struct {
	rate  float64
	burst int32
	quota int32
}

// plans makes usage plans and API keys as an operator does.
type plans struct {
	c      *courses
	client *apigateway.Client
}

func newPlans(t *testing.T, c *courses) *plans {
	t.Helper()
	return &plans{c, apigateway.NewFromConfig(c.config(rootCredentials))}
}

// lonelyKey makes an API key that is in no usage plan.
func (p *plans) lonelyKey(t *testing.T) string {
	t.Helper()
	out, err := p.client.CreateApiKey(t.Context(), &apigateway.CreateApiKeyInput{Enabled: true, Name: aws.String("lonely")})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Value
}

// key makes an API key in a usage plan of its own.
func (p *plans) key(t *testing.T, enabled bool, limits plan) (value, id string) {
	t.Helper()
	ctx := t.Context()
	key, err := p.client.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Enabled: enabled, Name: aws.String(t.Name())})
	if err != nil {
		t.Fatal(err)
	}
	in := &apigateway.CreateUsagePlanInput{Name: aws.String(t.Name()), ApiStages: []types.ApiStage{{ApiId: &p.c.apiID, Stage: &p.c.stage}}}
	if limits.rate > 0 {
		in.Throttle = &types.ThrottleSettings{RateLimit: limits.rate, BurstLimit: limits.burst}
	}
	if limits.quota > 0 {
		in.Quota = &types.QuotaSettings{Limit: limits.quota, Period: types.QuotaPeriodTypeDay}
	}
	made, err := p.client.CreateUsagePlan(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.client.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: made.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")}); err != nil {
		t.Fatal(err)
	}
	return *key.Value, *key.Id
}

// published waits until the gateway knows every key that was made so far: it learns of
// them in order, so a last one tells.
func (p *plans) published(t *testing.T) {
	t.Helper()
	last, _ := p.key(t, true, plan{})
	err := until(t.Context(), 5*time.Second, func() error {
		req := p.c.request(t.Context(), http.MethodGet, "/catalog")
		req.Header.Set("X-Api-Key", last)
		a, err := send(p.c.client, req)
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("a fresh API key: %d %s", a.status, a.body)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// truthOfKeys spends limits: what a key may before, and what it gets afterwards.
func truthOfKeys(t *testing.T, c *courses) {
	p := newPlans(t, c)
	slow, _ := p.key(t, true, plan{rate: 0.01, burst: 3})
	small, _ := p.key(t, true, plan{quota: 3})
	fleeting, fleetingID := p.key(t, true, plan{rate: 100, burst: 100})
	p.published(t)
	catalog := func(key string) *http.Request {
		req := c.request(t.Context(), http.MethodGet, "/catalog")
		req.Header.Set("X-Api-Key", key)
		return req
	}
	accepted := want{status: http.StatusOK} // the body is compared by the truth table
	t.Run("over its rate", func(t *testing.T) {
		for range 3 {
			c.check(t, catalog(slow), accepted)
		}
		c.check(t, catalog(slow), want{status: 429, body: `{"message":"Too Many Requests"}`, errorType: "TooManyRequestsException"})
		c.check(t, catalog(fleeting), accepted) // another key has its own rate
	})
	t.Run("over its quota", func(t *testing.T) {
		for range 3 {
			c.check(t, catalog(small), accepted)
		}
		spent := want{status: 429, body: `{"message":"Limit Exceeded"}`, errorType: "LimitExceededException"}
		c.check(t, catalog(small), spent)
		c.check(t, catalog(small), spent)
	})
	t.Run("disabled later", func(t *testing.T) {
		c.check(t, catalog(fleeting), accepted)
		_, err := p.client.UpdateApiKey(t.Context(), &apigateway.UpdateApiKeyInput{ApiKey: &fleetingID,
			PatchOperations: []types.PatchOperation{{Op: types.OpReplace, Path: aws.String("/enabled"), Value: aws.String("false")}}})
		if err != nil {
			t.Fatal(err)
		}
		err = until(t.Context(), 5*time.Second, func() error {
			a, err := send(c.client, catalog(fleeting))
			if err == nil && a.status != http.StatusForbidden {
				err = fmt.Errorf("a disabled API key: %d %s", a.status, a.body)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		c.check(t, catalog(fleeting), want{status: 403, body: `{"message":"Forbidden"}`, errorType: "ForbiddenException"})
	})
}
