package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"moat/internal/pure/sigv4"
)

// api is a REST API under construction.
type api struct {
	r        *rig
	id, root string
}

func (r *rig) newAPI(ctx context.Context, name string) (*api, error) {
	a := &api{r: r}
	var made struct{ Id, RootResourceId string }
	if err := a.call(ctx, http.MethodPost, "/restapis", map[string]any{"name": name}, &made); err != nil {
		return nil, err
	}
	a.id = made.Id
	var list struct {
		Items []struct{ Id, Path string } `json:"item"`
	}
	if err := a.call(ctx, http.MethodGet, "/restapis/"+a.id+"/resources", nil, &list); err != nil {
		return nil, err
	}
	for _, item := range list.Items {
		if item.Path == "/" {
			a.root = item.Id
		}
	}
	if a.root == "" {
		return nil, errors.New("the API has no root resource")
	}
	return a, nil
}

func (a *api) call(ctx context.Context, method, path string, in, out any) error {
	return a.r.aws.rest(ctx, "apigateway", method, path, in, out)
}

// get adds GET /NAME.
func (a *api) get(ctx context.Context, name string, method, integration map[string]any) error {
	var made struct{ Id string }
	if err := a.call(ctx, http.MethodPost, "/restapis/"+a.id+"/resources/"+a.root, map[string]any{"pathPart": name}, &made); err != nil {
		return err
	}
	at := "/restapis/" + a.id + "/resources/" + made.Id + "/methods/GET"
	if err := a.call(ctx, http.MethodPut, at, method, nil); err != nil {
		return err
	}
	return a.call(ctx, http.MethodPut, at+"/integration", integration, nil)
}

const stage = "v1"

// deploy serves the API. The account's throttle is raised first: it is not what is measured.
func (a *api) deploy(ctx context.Context) error {
	raise := func(what, value string) map[string]any {
		return map[string]any{"op": "replace", "path": "/throttleSettings/" + what, "value": value}
	}
	if err := a.call(ctx, http.MethodPatch, "/account", map[string]any{"patchOperations": []any{raise("rateLimit", "1000000000"), raise("burstLimit", "1000000000")}}, nil); err != nil {
		return err
	}
	return a.call(ctx, http.MethodPost, "/restapis/"+a.id+"/deployments", map[string]any{"stageName": stage}, nil)
}

// path is where a route is served.
func (a *api) path(name string) string {
	return "/restapis/" + a.id + "/" + stage + "/_user_request_/" + name
}

// authorizer adds one for the rig's user pool.
func (a *api) authorizer(ctx context.Context) (id string, err error) {
	var made struct{ Id string }
	err = a.call(ctx, http.MethodPost, "/restapis/"+a.id+"/authorizers", map[string]any{
		"name": "pool", "type": "COGNITO_USER_POOLS", "providerARNs": []string{a.r.pool.arn}, "identitySource": "method.request.header.Authorization",
	}, &made)
	return made.Id, err
}

// plan makes a usage plan of the API that is never reached; without a quota when that is nil.
func (a *api) plan(ctx context.Context, quota map[string]any) (id string, err error) {
	var plan struct{ Id string }
	in := map[string]any{
		"name": "bench", "apiStages": []map[string]string{{"apiId": a.id, "stage": stage}}, "throttle": map[string]any{"rateLimit": 1e6, "burstLimit": 1000000},
	}
	if quota != nil {
		in["quota"] = quota
	}
	err = a.call(ctx, http.MethodPost, "/usageplans", in, &plan)
	return plan.Id, err
}

// endless is a quota that is never reached.
func endless() map[string]any { return map[string]any{"limit": 1000000000, "period": "DAY"} }

// apiKey makes a key in a usage plan.
func (a *api) apiKey(ctx context.Context, plan string) (value string, err error) {
	var key struct{ Id, Value string }
	if err := a.call(ctx, http.MethodPost, "/apikeys", map[string]any{"name": "bench", "enabled": true}, &key); err != nil {
		return "", err
	}
	return key.Value, a.call(ctx, http.MethodPost, "/usageplans/"+plan+"/keys", map[string]any{"keyId": key.Id, "keyType": "API_KEY"}, nil)
}

// invoker makes an IAM user who may call the API and nothing else.
func (a *api) invoker(ctx context.Context) (c sigv4.Credentials, err error) {
	const name, version = "bench-invoker", "2010-05-08"
	iam := func(action string, params map[string]string, out any) error {
		params["UserName"] = name
		return a.r.aws.query(ctx, "iam", version, action, params, out)
	}
	if err := iam("CreateUser", map[string]string{}, nil); err != nil {
		return c, err
	}
	document := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:*:*:%s/%s/GET/*"}]}`, a.id, stage)
	if err := iam("PutUserPolicy", map[string]string{"PolicyName": "invoke", "PolicyDocument": document}, nil); err != nil {
		return c, err
	}
	var key struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	err = iam("CreateAccessKey", map[string]string{}, &key)
	return sigv4.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}, err
}

func (r *rig) until(ctx context.Context, raw []byte, want int) error {
	return until(ctx, r.address, raw, want)
}

// until asks until the answer has the wanted status: a deployment may need a moment.
func until(ctx context.Context, address string, raw []byte, want int) error {
	c, err := dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	for end := time.Now().Add(5 * time.Second); ; {
		if _, err = c.exchange(raw, want); err == nil || time.Now().After(end) || ctx.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
