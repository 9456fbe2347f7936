//! Push registrations: the caller's own, and those of any user for back ends.

use super::dispatch::Weight;
use super::error::Problem;
use super::extract::Call;
use super::route::{Answer, json, message};
use super::state::AppState;
use portcullis_actors::account::{DropDevice, ListDevices, ListedDevice, RegisterDevice, UserDevices};
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{DeviceToken, PushToken};
use portcullis_actors::error::ErrorKind;
use serde::Serialize;

#[derive(Serialize)]
struct DeviceItem<'a> {
    app_id: &'a str,
    device_token: &'a str,
    mobile_os: &'a str,
    apn_token: Option<&'a str>,
    updated_at: Timestamp,
}

impl<'a> From<&'a ListedDevice> for DeviceItem<'a> {
    fn from(ListedDevice { app, device }: &'a ListedDevice) -> Self {
        Self {
            app_id: app.as_str(),
            device_token: device.device_token.as_str(),
            mobile_os: device.mobile_os.as_str(),
            apn_token: device.push.as_ref().map(PushToken::as_str),
            updated_at: device.seen,
        }
    }
}

fn list_of(devices: &[ListedDevice]) -> Answer {
    json(&devices.iter().map(DeviceItem::from).collect::<Vec<_>>())
}

/// The device in the path. An invalid one is answered 422, like a parameter.
fn device_in_path(call: &Call<'_>) -> Result<Result<DeviceToken, ErrorKind>, Problem> {
    let text = call.parameter()?;
    Ok(text.parse::<DeviceToken>().map_err(|why| ErrorKind::invalid("device_token", why.to_string())))
}

/// `PUT /devices/:device_token`
pub async fn register(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let mut fields = incoming.fields(&["mobile_os", "apn_token"])?;
    let device_token = device_in_path(&call)?;
    let credential = incoming.credential()?;
    let mobile_os = fields.required_mobile_os();
    let push = fields.required("apn_token");
    let device_token = device_token?;
    let ask = fields.build(|| Some(RegisterDevice { credential, device_token, mobile_os: mobile_os?, push: push? }))?;
    let device = state.dispatcher.ask(Weight::Ordinary, &state.ports.register_device, ask).await?;
    json(&DeviceItem::from(&device))
}

/// `GET /devices`
pub async fn list(state: &AppState, mut call: Call<'_>) -> Answer {
    let ask = ListDevices(call.credential(state).await?);
    list_of(&state.dispatcher.ask(Weight::Ordinary, &state.ports.list_devices, ask).await?)
}

/// `DELETE /devices/:device_token`
pub async fn drop(state: &AppState, mut call: Call<'_>) -> Answer {
    let incoming = call.read(state).await?;
    let device_token = device_in_path(&call)?;
    let credential = incoming.credential()?;
    let ask = DropDevice { credential, app: None, device_token: device_token? };
    state.dispatcher.ask(Weight::Ordinary, &state.ports.drop_device, ask).await?;
    message("Device dropped.")
}

/// `GET /users/:id/devices`
pub async fn of_user(state: &AppState, mut call: Call<'_>) -> Answer {
    let user = call.user()?;
    let incoming = call.read(state).await?;
    let credential = incoming.credential().map_err(Problem::for_server_keys)?;
    let ask = UserDevices { credential, user };
    let devices = state.dispatcher.ask(Weight::Ordinary, &state.ports.user_devices, ask).await;
    list_of(&devices.map_err(Problem::for_server_keys)?)
}
