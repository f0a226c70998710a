package main

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// inventory is what a stack holds that a person wants to see and try.
type inventory struct {
	Stack   stackOutputs
	Pool    string
	Issuer  string
	Domain  string
	Clients []poolClient
	Keys    []apiKey
	APIs    []deployedAPI
	Routes  []route
}

type poolClient struct {
	ID, Name     string
	Confidential bool
}

type apiKey struct{ ID, Name, Value string }

type deployedAPI struct{ ID, Name, Stage string }

// route is one method of a deployed API, as its definition has it.
type route struct {
	API, Path, Method, Auth string
	Scopes                  []string
	Key                     bool
}

// resource is one resource of a stack.
type resource struct{ LogicalID, PhysicalID, Type string }

func (c *client) stackResources(ctx context.Context, stack string) ([]resource, error) {
	var answer struct {
		Resources []struct {
			LogicalResourceID  string `xml:"LogicalResourceId"`
			PhysicalResourceID string `xml:"PhysicalResourceId"`
			ResourceType       string
		} `xml:"DescribeStackResourcesResult>StackResources>member"`
	}
	err := c.query(ctx, "cloudformation", "2010-05-15", "DescribeStackResources", url.Values{"StackName": {stack}}, &answer)
	var out []resource
	for _, r := range answer.Resources {
		out = append(out, resource{r.LogicalResourceID, r.PhysicalResourceID, r.ResourceType})
	}
	return out, err
}

// inventory asks Moat, by the APIs that any client uses, what a stack holds.
func (c *client) inventory(ctx context.Context, stack stackOutputs) (*inventory, error) {
	resources, err := c.stackResources(ctx, stack.Name)
	if err != nil {
		return nil, err
	}
	inv := &inventory{Stack: stack}
	for _, r := range resources {
		switch r.Type {
		case "AWS::Cognito::UserPool":
			inv.Pool, inv.Issuer = r.PhysicalID, c.endpoint+"/"+r.PhysicalID
		case "AWS::Cognito::UserPoolDomain":
			inv.Domain = r.PhysicalID
		case "AWS::ApiGateway::RestApi":
			err = c.addAPI(ctx, inv, r.PhysicalID)
		case "AWS::ApiGateway::ApiKey":
			err = c.addKey(ctx, inv, r.PhysicalID)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, r := range resources {
		if r.Type == "AWS::Cognito::UserPoolClient" && inv.Pool != "" {
			if err := c.addClient(ctx, inv, r.PhysicalID); err != nil {
				return nil, err
			}
		}
	}
	return inv, nil
}

func (c *client) addClient(ctx context.Context, inv *inventory, id string) error {
	var out struct {
		UserPoolClient struct{ ClientName, ClientSecret string }
	}
	in := map[string]string{"UserPoolId": inv.Pool, "ClientId": id}
	if err := c.json(ctx, "cognito-idp", cognito+"DescribeUserPoolClient", true, in, &out); err != nil {
		return err
	}
	inv.Clients = append(inv.Clients, poolClient{ID: id, Name: out.UserPoolClient.ClientName, Confidential: out.UserPoolClient.ClientSecret != ""})
	return nil
}

func (c *client) addKey(ctx context.Context, inv *inventory, id string) error {
	var out struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	if err := c.rest(ctx, "apigateway", "GET", "/apikeys/"+id+"?includeValue=true", nil, &out); err != nil {
		return err
	}
	inv.Keys = append(inv.Keys, apiKey{ID: id, Name: out.Name, Value: out.Value})
	return nil
}

func (c *client) addAPI(ctx context.Context, inv *inventory, id string) error {
	var stages struct {
		Item []struct {
			StageName string `json:"stageName"`
		} `json:"item"`
	}
	if err := c.rest(ctx, "apigateway", "GET", "/restapis/"+id+"/stages", nil, &stages); err != nil {
		return err
	}
	for _, s := range stages.Item {
		inv.APIs = append(inv.APIs, deployedAPI{ID: id, Stage: s.StageName})
	}
	var list struct {
		Items []struct {
			Path            string `json:"path"`
			ResourceMethods map[string]struct {
				AuthorizationType   string   `json:"authorizationType"`
				APIKeyRequired      bool     `json:"apiKeyRequired"`
				AuthorizationScopes []string `json:"authorizationScopes"`
			} `json:"resourceMethods"`
		} `json:"item"`
	}
	if err := c.rest(ctx, "apigateway", "GET", "/restapis/"+id+"/resources?embed=methods&limit=500", nil, &list); err != nil {
		return err
	}
	for _, r := range list.Items {
		for method, m := range r.ResourceMethods {
			inv.Routes = append(inv.Routes, route{API: id, Path: r.Path, Method: method, Auth: m.AuthorizationType, Scopes: m.AuthorizationScopes, Key: m.APIKeyRequired})
		}
	}
	slices.SortFunc(inv.Routes, func(a, b route) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	return nil
}

// url is the address of an API's stage on this Moat.
func (d deployedAPI) url(endpoint string) string {
	return endpoint + "/restapis/" + d.ID + "/" + d.Stage + "/_user_request_"
}

// rows are the addresses and ids worth showing.
func (inv *inventory) rows(endpoint string, demo demoUser) [][2]string {
	var rows [][2]string
	for _, api := range inv.APIs {
		rows = append(rows, [2]string{"API", api.url(endpoint)})
	}
	if inv.Pool != "" {
		rows = append(rows, [2]string{"user pool", inv.Pool}, [2]string{"issuer", inv.Issuer})
	}
	if inv.Domain != "" {
		rows = append(rows, [2]string{"token URL", endpoint + "/_auth/" + inv.Domain + "/oauth2/token"})
	}
	for _, c := range inv.Clients {
		kind := "public"
		if c.Confidential {
			kind = "confidential"
		}
		rows = append(rows, [2]string{"app client", c.ID + "  (" + c.Name + ", " + kind + ")"})
	}
	if demo.Name != "" {
		rows = append(rows, [2]string{"demo user", demo.Name + "  password " + demo.Password})
	}
	for _, k := range inv.Keys {
		rows = append(rows, [2]string{"API key", k.Value + "  (" + k.Name + ")"})
	}
	return rows
}
