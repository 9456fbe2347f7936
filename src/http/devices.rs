//! Push registrations: the caller's own, and for back ends those of a user.

use super::AppState;
use super::dispatch::Weight;
use super::error::Problem;
use super::extract::{Incoming, UserInPath, last_segment};
use super::routes::{Answer, message};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use portcullis_actors::account::{DropDevice, ListDevices, ListedDevice, RegisterDevice, UserDevices};
use portcullis_actors::domain::{DeviceToken, PushToken};
use portcullis_actors::error::ErrorKind;
use serde::Serialize;

#[derive(Serialize)]
struct DeviceLine<'a> {
    app_id: &'a str,
    device_token: &'a str,
    mobile_os: &'a str,
    apn_token: Option<&'a str>,
    updated_at: String,
}

impl<'a> From<&'a ListedDevice> for DeviceLine<'a> {
    fn from(ListedDevice { app, device }: &'a ListedDevice) -> Self {
        Self {
            app_id: app.as_str(),
            device_token: device.device_token.as_str(),
            mobile_os: device.mobile_os.as_str(),
            apn_token: device.push.as_ref().map(PushToken::as_str),
            updated_at: device.seen.to_string(),
        }
    }
}

fn lines(devices: &[ListedDevice]) -> Answer {
    Ok(HttpResponse::Ok().json(devices.iter().map(DeviceLine::from).collect::<Vec<_>>()))
}

/// The device in the path; what cannot be one is 422, like a parameter.
fn device_in_path(request: &HttpRequest) -> Result<Result<DeviceToken, ErrorKind>, Problem> {
    let text = last_segment(request)?;
    Ok(text.parse::<DeviceToken>().map_err(|why| ErrorKind::invalid("device_token", why.to_string())))
}

/// `PUT /devices/:device_token`
pub async fn register(state: Data<AppState>, request: HttpRequest, incoming: Incoming) -> Answer {
    let mut fields = incoming.fields(&["mobile_os", "apn_token"])?;
    let device_token = device_in_path(&request)?;
    let credential = incoming.credential()?;
    let mobile_os = fields.need_mobile_os();
    let push = fields.need("apn_token");
    let device_token = device_token?;
    let ask = fields.make(|| Some(RegisterDevice { credential, device_token, mobile_os: mobile_os?, push: push? }))?;
    let device = state.dispatcher.ask(Weight::Ordinary, &state.ports.register_device, ask).await?;
    Ok(HttpResponse::Ok().json(DeviceLine::from(&device)))
}

/// `GET /devices`
pub async fn list(state: Data<AppState>, incoming: Incoming) -> Answer {
    let ask = ListDevices(incoming.credential()?);
    lines(&state.dispatcher.ask(Weight::Ordinary, &state.ports.list_devices, ask).await?)
}

/// `DELETE /devices/:device_token`
pub async fn drop(state: Data<AppState>, request: HttpRequest, incoming: Incoming) -> Answer {
    let device_token = device_in_path(&request)?;
    let credential = incoming.credential()?;
    let ask = DropDevice { credential, device_token: device_token? };
    state.dispatcher.ask(Weight::Ordinary, &state.ports.drop_device, ask).await?;
    message("Device dropped.")
}

/// `GET /users/:id/devices`
pub async fn of_user(state: Data<AppState>, UserInPath(user): UserInPath, incoming: Incoming) -> Answer {
    let credential = incoming.credential().map_err(Problem::to_key_holder)?;
    let ask = UserDevices { credential, user };
    let devices = state.dispatcher.ask(Weight::Ordinary, &state.ports.user_devices, ask).await;
    lines(&devices.map_err(Problem::to_key_holder)?)
}
