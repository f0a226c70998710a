package stack

import (
	"context"
	"errors"

	"moat/internal/wire"
	"moat/internal/wire/cognitoidpapi"
)

func poolConfigHandlers(c cognitoidpapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::Cognito::LogDeliveryConfiguration":            logDelivery(c),
		"AWS::Cognito::UserPoolRiskConfigurationAttachment": riskConfiguration(c),
	}
}

// logDelivery says where events of a pool go; without the resource they go nowhere.
func logDelivery(c cognitoidpapi.Service) Handler {
	put := func(ctx context.Context, r *Request) (State, error) {
		in := &cognitoidpapi.SetLogDeliveryConfigurationRequest{}
		if err := decode(r.Properties, in, nil); err != nil {
			return State{}, err
		}
		if in.LogConfigurations == nil {
			in.LogConfigurations = []cognitoidpapi.LogConfigurationType{}
		}
		if _, err := c.SetLogDeliveryConfiguration(ctx, in); err != nil {
			return State{}, err
		}
		return State{PhysicalID: in.UserPoolId, Attributes: map[string]string{"Id": in.UserPoolId}}, nil
	}
	return Handler{
		Shapes: []Shape{{Operation: "cognito-idp:SetLogDeliveryConfiguration"}},
		Create: put,
		Update: put,
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.SetLogDeliveryConfiguration(ctx, &cognitoidpapi.SetLogDeliveryConfigurationRequest{UserPoolId: r.PhysicalID, LogConfigurations: []cognitoidpapi.LogConfigurationType{}})
			return err
		},
	}
}

// allClients is how a template names what holds for every client without a configuration of its own.
const allClients = "ALL"

// riskConfiguration says what a pool, or one of its clients, does about risks. Without the resource
// nothing is done, or what the pool does.
func riskConfiguration(c cognitoidpapi.Service) Handler {
	client := func(r *Request) *string {
		if id := r.text("ClientId"); id != allClients {
			return &id
		}
		return nil
	}
	put := func(ctx context.Context, r *Request) (State, error) {
		in := &cognitoidpapi.SetRiskConfigurationRequest{}
		if err := decode(r.Properties, in, map[string]string{"ClientId": skip}); err != nil {
			return State{}, err
		}
		in.ClientId = client(r)
		if _, err := c.SetRiskConfiguration(ctx, in); err != nil {
			return State{}, err
		}
		return State{PhysicalID: in.UserPoolId + "|" + r.text("ClientId")}, nil
	}
	return Handler{
		Shapes: []Shape{{Operation: "cognito-idp:SetRiskConfiguration", Rename: map[string]string{"ClientId": skip}}},
		Create: put,
		Update: put,
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.SetRiskConfiguration(ctx, &cognitoidpapi.SetRiskConfigurationRequest{UserPoolId: r.text("UserPoolId"), ClientId: client(r)})
			var off wire.Exception
			if errors.As(err, &off) && off.ErrorCode() == "UserPoolAddOnNotEnabledException" {
				return nil // a pool without threat protection does nothing about risks
			}
			return err
		},
	}
}
